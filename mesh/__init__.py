"""What platforms say to each other on a local network: heads, hashes, cosignatures, proofs of forks.

Pure values and bytes: clocks, keys and storage come in as arguments.  The process around it (sockets, HTTP, discovery,
the store) is a room of its own, `mesh.node`, and not built yet (issue 5).
"""
