"""Survey files to batches of spectra and catalogue rows."""
