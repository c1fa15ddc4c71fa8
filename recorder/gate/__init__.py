"""What a cycle may be granted: the configured table of classes and bounds, until policy bundles exist."""
