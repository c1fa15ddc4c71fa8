"""The serial bridge: signed physical confirmations from microcontrollers.  Its process is not built yet (issue 6).

It will be a process of its own, without secrets, that parses what comes over a serial line and hands it to the recorder
over its socket.  DESIGN.md says what is where, and what it imports.
"""
