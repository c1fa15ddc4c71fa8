"""The recorder daemon: one thread between local controllers and the store."""
