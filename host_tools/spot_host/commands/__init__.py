"""The sub-commands of `spot`, one module each; `spot_host.cli` has the table and loads them when asked for."""
