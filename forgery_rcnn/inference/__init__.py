"""Inference: from a file's pixels and a segmenter to the final answer."""
