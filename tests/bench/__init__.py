"""Benchmarks: `bench_*.py` modules measure, `bounds.py` says what is due, `make bench` runs and publishes."""
