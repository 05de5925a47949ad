"""Logs of trainings as curves in a picture."""
