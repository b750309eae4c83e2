"""`make bench`: what Sendbridge costs and how fast it is. Figures and ratios, never a test."""

import cli

__all__ = ["cli"]  # imported because it puts the functions on the path
