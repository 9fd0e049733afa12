"""What the probes measure, a noun a file: pure functions of opened images, runs and weights."""
