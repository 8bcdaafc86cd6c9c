"""The files of SDSS-V: BOSS spectra of fields and catalogue identifiers, Data Release 18 on."""

from speclens.instrument import INSTRUMENTS

NAME = "sdssv"
"""Of the survey, in the column SURVEY."""

INSTRUMENT = INSTRUMENTS[NAME]
"""Its bits and limits."""
