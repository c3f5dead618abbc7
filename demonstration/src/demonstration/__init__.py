"""A fictitious school year over real communes, sent through the public interfaces only. Deterministic by seed."""
