"""Training sets, and networks fitted to them."""
