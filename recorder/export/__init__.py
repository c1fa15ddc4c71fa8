"""A lineage for other tools: MCAP, which Foxglove and PlotJuggler open.  A view; the bundle in it is the evidence."""
