"""The engine: seeds, freezing, the training loop, evaluation, checkpoints and the run's log."""
