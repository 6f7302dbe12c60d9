"""The simulator as an adversary: from one seed a whole history of faults, users, operators and power cuts, and what
must hold in every step of it. docs/simulator.md, "The adversary"; docs/invariants.md.
"""
