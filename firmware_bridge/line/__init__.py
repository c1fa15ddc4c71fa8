"""The host's side of PROTOCOL.md: bytes and clocks in, bytes and happenings out; no port, no clock, no randomness."""
