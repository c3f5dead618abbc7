"""Parents' cafés: three periods a year, households, waiting lists, the pass seven days before."""
