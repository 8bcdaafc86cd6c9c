"""The package in a script or a notebook: spectra, a search, its run. See `docs/python.md`."""

from speclens.api.completeness import completeness
from speclens.api.reading import read
from speclens.api.run import Run, open_run
from speclens.api.searching import search
from speclens.api.spectra import Spectra
from speclens.api.survey_spectra import SurveySpectra

__all__ = ["Run", "Spectra", "SurveySpectra", "completeness", "open_run", "read", "search"]
