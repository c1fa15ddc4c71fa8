"""What platforms say to each other on a local network, as values and bytes: heads, hashes, cosignatures, proofs of forks.

Pure: clocks, keys and storage come in as arguments.  The process around it (sockets, HTTP, discovery, the store) is a room
of its own, `mesh.node`, and not built yet (issue 5).
"""
