"""Train the network on labelled spectra."""
