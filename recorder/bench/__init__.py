"""What this machine and this store can do: the measures behind `lineage bench`."""
