"""Figures that SPOT ships, each file with its source."""
