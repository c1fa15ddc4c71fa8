"""The mesh's process: HTTP witness, submitting loop, what both keep.  The protocol itself is `mesh`, which is pure."""
