"""The files of SDSS-I to eBOSS."""

from speclens.instrument import INSTRUMENTS

NAME = "sdss"
"""Of the survey, in the column SURVEY."""

INSTRUMENT = INSTRUMENTS[NAME]
"""Its bits and limits."""
