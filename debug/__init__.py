"""The bench of probes: one file per question about a trained detector. `python3 -m debug.all` runs them all."""
