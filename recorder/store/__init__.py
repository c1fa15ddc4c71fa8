"""The store: append-only LMDB segments, their recovery, and a read-only view of them."""
