"""Tests on an emulated RP2040 that runs a MicroPython image of our own; README.md says how."""
