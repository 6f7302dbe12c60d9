"""The hardware: drivers for chips and pins, built from a board's declarative description."""
