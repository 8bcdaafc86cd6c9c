"""Prepared spectra to hits."""
