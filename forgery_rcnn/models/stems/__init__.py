"""Forensic stems: what a detector sees beside the colours, each computed from the pixels of one image."""
