"""SIGKILL and faults before each file-system event: see `__main__`."""
