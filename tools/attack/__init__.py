"""What was tried against the package and takes longer than a test: a command each, which prints its tally."""
