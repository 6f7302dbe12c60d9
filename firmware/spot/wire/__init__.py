"""Bytes: CBOR and the profile's messages. Nothing here does I/O or reads a clock."""
