"""The reference EMD: a core without I/O (`core`), and adapters for SQLite, MQTT and memory around it."""
