"""Images on their way into a model: decoding, what changes them, and the layout that an input wants."""
