"""Find, segment and explain forged regions in images."""

__version__ = "0.1.0"
