"""What the site is made with: extensions of Sphinx, and the check of its links."""
