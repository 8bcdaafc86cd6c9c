"""FITS files, of any survey."""
