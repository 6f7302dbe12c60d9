"""Coverage-guided fuzzing (atheris) of what decodes octets from outside, and the cases that it has found."""
