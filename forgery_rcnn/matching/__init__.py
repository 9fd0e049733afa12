"""The twin finder: which region of an image was copied from where. No training, no torch."""
