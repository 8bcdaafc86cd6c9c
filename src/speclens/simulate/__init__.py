"""Training spectra and mock surveys."""
