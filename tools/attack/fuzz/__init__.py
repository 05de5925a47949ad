"""Damaged and made-up files of each kind that the package reads, by the thousand, each from a seed."""
