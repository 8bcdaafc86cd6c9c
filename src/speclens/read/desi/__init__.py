"""The files of DESI: coadds of targets with their redrock files, Early Data Release on."""

from speclens.instrument import INSTRUMENTS

NAME = "desi"
"""Of the survey, in the column SURVEY."""

INSTRUMENT = INSTRUMENTS[NAME]
"""Its bits and limits."""
