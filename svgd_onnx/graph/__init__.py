"""Pictures of a training graph: a page to walk through, and a drawing for a paper."""
