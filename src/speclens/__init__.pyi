"""What `import speclens` offers, for type checkers: at run time it is imported when it is used."""

from speclens.api import Run as Run
from speclens.api import Spectra as Spectra
from speclens.api import SurveySpectra as SurveySpectra
from speclens.api import completeness as completeness
from speclens.api import open_run as open_run
from speclens.api import read as read
from speclens.api import search as search

__version__: str
__all__ = [
    "Run", "Spectra", "SurveySpectra", "__version__", "completeness", "open_run", "read", "search",
]  # fmt: skip
