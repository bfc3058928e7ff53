"""Names that others rely on: the fields of runs, faults and events, and the metrics of scenarios."""
