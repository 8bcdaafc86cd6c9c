"""Survey files to rows of targets and batches of spectra."""
