"""Mock surveys, and artificial spectra to train on."""
