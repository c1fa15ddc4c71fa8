"""The serial bridge: signed physical confirmations from microcontrollers.  Not built yet (issue 6).

It will be a process of its own, without secrets, that parses what comes over a serial line and hands it to the recorder
over its socket.  It imports `recorder.core`, `recorder.client` and `recorder.store.view` only.
"""
