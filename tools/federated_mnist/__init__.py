"""Federated MNIST over simulated clients, and over processes of their own, beside central training."""
