"""Simulated chips and contacts, at the level of bytes and pins that the drivers see."""
