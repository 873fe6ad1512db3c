"""Servers of other people's that run as engines: one file each for what is its own, the rest is the same for all."""
