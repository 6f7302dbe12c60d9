"""SPOT's tools for a workstation: the `spot` command, the reference EMD, provisioning, and the set-up."""
