"""Long attacks on what is promised; each is a command that prints its tally."""
