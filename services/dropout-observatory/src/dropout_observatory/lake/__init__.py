"""Every topic of facts as typed, partitioned Parquet, for whoever analyses it with whatever they like."""
