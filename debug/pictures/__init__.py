"""What the probes draw."""
