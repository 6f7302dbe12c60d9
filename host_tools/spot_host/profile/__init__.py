"""The SPOT profile on a workstation: its one definition, what is generated from it, and the strict codec."""
