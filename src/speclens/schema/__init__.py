"""Columns, reason codes and flags of the products, each one record.

From these records come the dtypes of the tables, the units and descriptions of their columns, what
vetting marks, and the pages of the documentation that list them.
"""

from speclens.schema.codes import (
    FLAGS,
    REASONS,
    VET_FLAGS,
    VET_TESTS,
    flag_bit,
    flag_names,
    status_of,
    vet_bits,
    vet_names,
)
from speclens.schema.columns import (
    CANDIDATES,
    COMPANIONS,
    COMPLETENESS,
    FALSE_HITS,
    GROWTH,
    HEAT_MAP,
    HIT_HYPOTHESES,
    HITS,
    INJECTED,
    KNOWN,
    LIMITS,
    NULLS,
    RECOVERED,
    RELIABILITY,
    SPECTRA,
    TARGET_IDS,
)
from speclens.schema.comparison import (
    COMPARED_BY_SNR,
    COMPARED_COST,
    COMPARED_OVERLAP,
    COMPARED_PREVALENCE,
    COMPARED_RATES,
    COMPARED_SCORES,
)
from speclens.schema.records import Column, Flag, Reason, VetFlag, VetTest, dtype_of, text_width
from speclens.schema.units import FLUX_DENSITY_UNIT, FLUX_UNIT
from speclens.schema.vet_tests import TESTS

__all__ = [
    "CANDIDATES",
    "COMPANIONS",
    "COMPARED_BY_SNR",
    "COMPARED_COST",
    "COMPARED_OVERLAP",
    "COMPARED_PREVALENCE",
    "COMPARED_RATES",
    "COMPARED_SCORES",
    "COMPLETENESS",
    "FALSE_HITS",
    "FLAGS",
    "FLUX_DENSITY_UNIT",
    "FLUX_UNIT",
    "GROWTH",
    "HEAT_MAP",
    "HITS",
    "HIT_HYPOTHESES",
    "INJECTED",
    "KNOWN",
    "LIMITS",
    "NULLS",
    "REASONS",
    "RECOVERED",
    "RELIABILITY",
    "SPECTRA",
    "TARGET_IDS",
    "TESTS",
    "VET_FLAGS",
    "VET_TESTS",
    "Column",
    "Flag",
    "Reason",
    "VetFlag",
    "VetTest",
    "dtype_of",
    "flag_bit",
    "flag_names",
    "status_of",
    "text_width",
    "vet_bits",
    "vet_names",
]
