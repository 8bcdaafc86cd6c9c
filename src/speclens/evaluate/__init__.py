"""Lines put in, searched and counted: the completeness of a search."""
