"""A demonstration on scikit-learn's handwritten digits: `python -m tools.demo`."""
