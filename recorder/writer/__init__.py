"""The writer: turns requests into entries and answers; no sockets, no clocks of its own."""
