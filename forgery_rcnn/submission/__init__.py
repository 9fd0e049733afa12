"""Predictions <-> the files of four competitions."""
