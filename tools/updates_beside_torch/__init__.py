"""Updates of parameters beside PyTorch's: see `__main__`."""
