"""Models: one interface (segmenter), one constructor table (zoo), one way to load and save (weights)."""
