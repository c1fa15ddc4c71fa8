"""The witness process: peers on the local network countersign each other's checkpoints.  Not built yet (issue 5).

It will be a process of its own that holds the witness key and the archive of peers' heads; it never sees the identity
key and never opens the live segment.  It imports `recorder.core`, `recorder.client` and `recorder.store.view` only.
"""
