"""Reading a lineage after the fact, from a state directory, a running recorder or a bundle; checking and extracting."""
