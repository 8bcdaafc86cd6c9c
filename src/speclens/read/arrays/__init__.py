"""Spectra that come as arrays: what is declared of them, their grid, the file they travel in."""

from speclens.instrument import INSTRUMENTS

NAME = "arrays"
"""In the column SURVEY."""

INSTRUMENT = INSTRUMENTS[NAME]
"""What the bits of a stack's mask mean, and which line spreads can be."""
