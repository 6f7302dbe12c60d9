"""The device's side of hybrid control: state machines without I/O and without a clock of their own."""
