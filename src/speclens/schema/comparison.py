"""The columns of the tables of `speclens compare`."""

from __future__ import annotations

from speclens.schema.columns import INJECTED
from speclens.schema.records import Column

__all__ = [
    "COMPARED_BY_SNR",
    "COMPARED_COST",
    "COMPARED_OVERLAP",
    "COMPARED_PREVALENCE",
    "COMPARED_RATES",
    "COMPARED_SCORES",
]

_SEARCH = Column("SEARCH", "U32", "", "the search, as --with names it")
_LEVEL = Column("LEVEL", "U9", "", "what is counted: hit or candidate")
_RATE = Column(
    "RATE", "f8", "", "false alarms a spectrum that are allowed; NaN: the search's own thresholds"
)
_FOUND = (
    Column("N_LINES", "i8", "", "sources put in that are not masked"),
    Column(
        "N_FOUND",
        "i8",
        "",
        "of those that were found: with a hit, or a candidate, at the line, or at the redshift",
    ),
    Column("COMPLETENESS", "f8", "", "their share; NaN where the rate is not measured"),
    Column("COMPLETENESS_LOW", "f8", "", "lower end of its 68 % interval"),
    Column("COMPLETENESS_HIGH", "f8", "", "upper end of that"),
)

COMPARED_RATES = (
    _SEARCH,
    _LEVEL,
    _RATE,
    Column("STEP", "i2", "", "thresholds that find most: 0 the search's own, else moved"),
    Column(
        "THRESHOLD",
        "f8",
        "",
        "of what hits or candidates are ranked by; -inf: any of them, NaN: rate not measured",
    ),
    Column("N_SPECTRA", "i8", "", "spectra without a line, each searched by all searches"),
    Column("N_ALARMS", "i8", "", "of those with a hit, or a candidate, above the threshold"),
    Column("ALARMS_LOW", "f8", "", "lower end of the 68 % interval of false alarms a spectrum"),
    Column("ALARMS_HIGH", "f8", "", "upper end of that"),
    *_FOUND,
    Column(
        "COMPLETENESS_PUBLISHED",
        "f8",
        "",
        "share of lines that are as bright as those of the published candidates; NaN of galaxies",
    ),
)
"""Columns of rates.ecsv and roc.ecsv: one row a search, level and rate of false alarms."""

COMPARED_BY_SNR = (
    _SEARCH,
    _LEVEL,
    _RATE,
    Column("SNR_LOW", "f8", "", "lower edge of the bin of ideal signal-to-noise ratio"),
    Column("SNR_HIGH", "f8", "", "upper edge"),
    *_FOUND,
)
"""Columns of by_snr.ecsv: one row a search, level and bin."""

COMPARED_OVERLAP = (
    _SEARCH,
    Column("OTHER", "U32", "", "another search"),
    Column("N_FOUND", "i8", "", "sources that the search finds, at its own thresholds"),
    Column("N_FOUND_OTHER", "i8", "", "that the other one finds"),
    Column("N_FOUND_BOTH", "i8", "", "that both find"),
    Column("N_ALARMS", "i8", "", "spectra without a line in which the search has a hit"),
    Column("N_ALARMS_OTHER", "i8", "", "in which the other one has"),
    Column("N_ALARMS_BOTH", "i8", "", "in which both have"),
)
"""Columns of overlap.ecsv: one row a pair of searches."""

COMPARED_PREVALENCE = (
    _SEARCH,
    _RATE,
    Column("PREVALENCE", "f8", "", "lenses a spectrum"),
    Column("FOUND_PER_MILLION", "f8", "", "lenses found in a million spectra"),
    Column("FALSE_PER_MILLION", "f8", "", "false alarms in a million spectra"),
    Column("FALSE_LOW", "f8", "", "lower end of the 68 % interval of that"),
    Column("FALSE_HIGH", "f8", "", "upper end"),
    Column("PURITY", "f8", "", "share of the hits that are lenses"),
    Column("PURITY_LOW", "f8", "", "the same with the upper end of the rate of false alarms"),
    Column("PURITY_HIGH", "f8", "", "and with its lower end"),
    Column("HITS_A_LENS", "f8", "", "hits to look at for each lens found"),
)
"""Columns of prevalence.ecsv: one row a search, rate of false alarms and prevalence."""

COMPARED_COST = (
    _SEARCH,
    Column("N_SPECTRA", "i8", "", "spectra on which it was measured"),
    Column("CPU_SECONDS", "f8", "s", "processor time a spectrum, reading not included"),
    Column("MEMORY", "f8", "MB", "highest memory of the process"),
    Column("MEMORY_A_SPECTRUM", "f8", "kB", "what searching added to it, a spectrum"),
)
"""Columns of cost.ecsv: one row a search."""

COMPARED_SCORES = (
    Column("TARGETID", "i8", "", "identifier of the spectrum"),
    Column("REPEAT", "i4", "", "which source was put into it; 0: none"),
    *(column for column in INJECTED if column.name in (
        "KIND", "Z_SOURCE", "WAVE", "FLUX", "IDEAL_SNR",
    )),
    Column("SEARCHED", "?", "", "whether the source counts: what was put in is not masked"),
    _SEARCH,
    Column("STEP", "i2", "", "0: the search's own thresholds; else moved"),
    Column(
        "SCORE", "f8", "",
        "highest value that the search ranks by, of hits at the source, or of all where nothing "
        "was put in; -inf without a hit",
    ),
    Column(
        "CANDIDATE_SCORE", "f8", "",
        "the same of candidates, which are ranked by P_HYPOTHESIS times P_LENSED; -inf without a "
        "candidate, NaN of a search whose hits vetting cannot weigh",
    ),
)  # fmt: skip
"""Columns of scores.fits: one row a spectrum, repeat, search and step."""
