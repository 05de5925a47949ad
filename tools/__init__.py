"""Programs around the project: networks to train, a demonstration, the paper's experiments."""
