"""Columns of the products, each one record."""

from __future__ import annotations

from speclens.schema.records import Column
from speclens.schema.units import FLUX_DENSITY_UNIT, FLUX_UNIT
from speclens.schema.vet_tests import TESTS

__all__ = [
    "CANDIDATES",
    "COMPANIONS",
    "COMPLETENESS",
    "FALSE_HITS",
    "GROWTH",
    "HEAT_MAP",
    "HITS",
    "HIT_HYPOTHESES",
    "INJECTED",
    "KNOWN",
    "LIMITS",
    "NULLS",
    "RECOVERED",
    "RELIABILITY",
    "SPECTRA",
    "TARGET_IDS",
]

TARGET_IDS = ("TARGETID", "PLATE", "MJD", "FIBERID", "CATALOGID", "SDSS_ID")
"""Columns of numbers that name a target or a spectrum; -1 where a survey has none."""

_IDS = (
    Column("SURVEY", "U8", "", "survey of the file; sdss is SDSS-I to eBOSS, sdssv is SDSS-V"),
    Column(
        "SPECTRUM",
        "U40",
        "",
        "the spectrum's name; plate-mjd-fibre, of SDSS-V field-mjd-catalogid",
    ),
    Column(
        "TARGETID",
        "i8",
        "",
        "the survey's number, of SDSS PLATE * 10^9 + MJD * 10^4 + FIBERID; -1 where unknown",
    ),
    Column("PLATE", "i4", "", "plate; -1 where unknown"),
    Column("MJD", "i4", "d", "modified Julian date of the observation; -1 where unknown"),
    Column("FIBERID", "i4", "", "fibre, from 1; -1 where unknown"),
    Column("CATALOGID", "i8", "", "target in SDSS-V's catalogue; -1 where it has none there"),
    Column("SDSS_ID", "i8", "", "target in all of SDSS; -1 where its file states none"),
    Column("RA", "f8", "deg", "right ascension, J2000"),
    Column("DEC", "f8", "deg", "declination, J2000"),
)

_FILE = (
    Column("FILE", "U1", "", "file, as the inputs name it; unusual characters as %XX"),
    Column("ROW", "i4", "", "row of the spectrum in its file, from 0"),
)

SPECTRA = (
    *_IDS,
    Column("Z", "f8", "", "redshift of the target as used by the search"),
    Column("CLASS", "U8", "", "class of the target in the survey's catalogue"),
    Column("SUBCLASS", "U24", "", "subclass in the survey's catalogue"),
    *_FILE,
    Column("STATUS", "U8", "", "scored, skipped or failed"),
    Column("REASON", "U24", "", "reason code; empty when scored"),
    Column("FLAGS", "i4", "", "quality bits"),
    Column("PROBABILITY", "f4", "", "probability of a line, from the network; NaN without one"),
    Column("SNR", "f4", "", "highest matched-filter signal-to-noise ratio in the window"),
    Column(
        "RESIDUAL_RMS",
        "f4",
        "",
        "root mean square of residual * sqrt(ivar), errors as stated",
    ),
    Column("GOOD_FRACTION", "f4", "", "fraction of the window's pixels that were searched"),
)
"""Columns of spectra.fits: one row for every input spectrum."""

_LENSED = Column(
    "P_LENSED", "f4", "", "probability that the source is strongly lensed, if it is what it seems"
)

_JUDGED = (
    Column("VET_FLAGS", "i4", "", "vetting bits"),
    Column("CANDIDATE", "?", "", "true when no vetoing flag is set"),
    Column("REASON", "U128", "", "the first vetoing flag in words; empty for a candidate"),
    Column("KNOWN", "U44", "", "published system that this is; (z unknown): that may be it"),
)

HITS = (
    Column("NAME", "U32", "", "SDSS JHHMMSS.ss+DDMMSS.s, truncated; empty without a position"),
    *_IDS,
    *_FILE,
    Column("Z", "f8", "", "redshift of the target, the would-be lens"),
    Column("VDISP", "f4", "km/s", "its velocity dispersion in the survey's catalogue"),
    Column("VDISP_ERR", "f4", "km/s", "standard error of VDISP"),
    Column("MAG_I", "f4", "mag", "magnitude within the fibre, i band, in the survey's catalogue"),
    Column("SEARCH", "U8", "", "name of the search that fired, in the configuration"),
    Column("METHOD", "U16", "", "its method"),
    Column("PROBABILITY", "f4", "", "probability of a line, from the network; NaN without one"),
    Column("SNR", "f4", "", "matched-filter signal-to-noise ratio"),
    Column("WAVE", "f8", "Angstrom", "observed line centre, vacuum"),
    Column("WAVE_ERR", "f4", "Angstrom", "standard error of WAVE"),
    Column("FLUX", "f4", FLUX_UNIT, "line flux"),
    Column("FLUX_ERR", "f4", FLUX_UNIT, "standard error of FLUX"),
    Column("FWHM_KMS", "f4", "km/s", "line width of the best filter, without the instrument's"),
    Column(
        "P_RED", "f4", "", "probability that it is skewed to the red, from a network that tells it"
    ),
    Column(
        "HYPOTHESIS",
        "U8",
        "",
        "what the search takes the source for: lya; elg, several lines; else a line",
    ),
    Column("N_LINES", "i2", "", "lines of the source that are seen"),
    Column("SNR_LINES", "f4", "", "signal-to-noise ratio of all of its lines together"),
    Column(
        "LN_EVIDENCE",
        "f4",
        "",
        "ln evidence for the source over none; NaN unless lines were weighed",
    ),
    Column(
        "P_HYPOTHESIS",
        "f4",
        "",
        "probability of what its strongest line is taken for; P_LYA unless lines were weighed",
    ),
    Column("Z_SECOND", "f8", "", "next best redshift of the source; NaN without one"),
    Column("LN_ODDS", "f4", "", "ln odds of Z_SOURCE over Z_SECOND"),
    Column("Z_SOURCE", "f8", "", "redshift of the source under HYPOTHESIS"),
    *(column for test in TESTS for column in test.columns),
    _LENSED,
    *_JUDGED,
)
"""Columns of hits.fits: one row a hit."""

CANDIDATES = (
    HITS[0],
    Column("RANK", "i4", "", "place by the probability of the source times P_LENSED, from 1"),
    *HITS[1:],
    Column("LYA_LUMINOSITY", "f4", "1e42 erg / s", "luminosity of the line, magnified as it is"),
    Column("LYA_LUMINOSITY_ERR", "f4", "1e42 erg / s", "standard error of LYA_LUMINOSITY"),
    Column("SIGMA_SIS", "f4", "km/s", "velocity dispersion of the lens model"),
    Column("SIGMA_SIS_ERR", "f4", "km/s", "standard error of SIGMA_SIS"),
    Column("SIGMA_ASSUMED", "?", "", "true when VDISP is no use and a typical value stands for it"),
    Column("EINSTEIN_RADIUS", "f4", "arcsec", "of a singular isothermal sphere"),
    Column("EINSTEIN_RADIUS_ERR", "f4", "arcsec", "standard error of EINSTEIN_RADIUS"),
    Column("GRADE", "U7", "", "of those who looked, best first: A, or A/X where they differ"),
    Column("N_GRADERS", "i2", "", "people who graded it"),
    Column("COMPLETENESS", "f4", "", "share of such sources that become candidates (--selection)"),
    Column("Q_VALUE", "f4", "", "expected share of false ones down to this rank (--selection)"),
)
"""Columns of the candidate tables."""

COMPANIONS = (
    Column("HIT", "i4", "", "row of hits.fits"),
    Column("KIND", "U12", "", "neighbour, repeat or exposure"),
    Column("NAME", "U40", "", "name of the other spectrum, or of the exposure"),
    Column("FLUX", "f4", FLUX_UNIT, "flux of the same line there"),
    Column("FLUX_ERR", "f4", FLUX_UNIT, "standard error of FLUX"),
    Column(
        "OFFSET", "f4", "pixels", "where it is brightest, from the hit; of neighbours, else NaN"
    ),
)
"""Columns of what the same line is in other spectra: one row a hit and spectrum."""

HIT_HYPOTHESES = (
    Column("HIT", "i4", "", "row of hits.fits"),
    Column("HYPOTHESIS", "U10", "", "what its strongest line may be: a line, artefact, or other"),
    Column("Z_SOURCE", "f8", "", "redshift of the source then"),
    Column("LN_EVIDENCE", "f4", "", "ln evidence over no line; NaN unless lines were weighed"),
    Column("PROBABILITY", "f4", "", "its probability; those of a hit add to one"),
)
"""Columns of hypotheses.fits: one row a hit and hypothesis."""

HEAT_MAP = (
    Column("HIT", "i4", "", "row of hits.fits"),
    Column("KIND", "U8", "", "kind of source: elg (several lines) or lya"),
    Column("Z_SOURCE", "f8", "", "redshift of the source, middle of a bin"),
    Column(
        "PROBABILITY", "f4", "", "that there is such a source; with none a spectrum adds to one"
    ),
)
"""Columns of heat_map.fits: one row a hit, kind of source and bin of redshift that is likely."""

KNOWN = (
    Column("NAME", "U32", "", "name of the published system"),
    Column("PLATE", "i4", "", "plate of its spectrum; -1 where unknown"),
    Column("MJD", "i4", "d", "modified Julian date of its spectrum; -1 where unknown"),
    Column("FIBERID", "i4", "", "fibre of its spectrum; -1 where unknown"),
    Column("RA", "f8", "deg", "right ascension, J2000; NaN where unknown"),
    Column("DEC", "f8", "deg", "declination, J2000; NaN where unknown"),
    Column("Z_SOURCE", "f8", "", "redshift of the source; NaN where unknown"),
    Column(
        "TARGETID",
        "i8",
        "",
        "spectrum of this run that is the system; -1 for none, and where it has no number",
    ),
    Column("OUTCOME", "U12", "", "candidate, hit, missed, z_unknown, skipped, failed or absent"),
)
"""Columns of known.*: one row a published system given with --known."""

_WEIGHED = (
    Column("PROBABILITY", "f4", "", "probability of a line, from the network; NaN without one"),
    Column("P_LYA", "f4", "", "probability that the hit is Lyman alpha"),
    Column("P_HYPOTHESIS", "f4", "", "probability of what the hit is taken for"),
    Column("P_LENSED", "f4", "", "probability that its source is strongly lensed"),
)

INJECTED = (
    Column("TARGETID", "i8", "", "identifier of the spectrum"),
    Column(
        "KIND",
        "U16",
        "",
        "what was put in: sources lya, elg (several lines); decoys oii, line, spike, sky_line",
    ),
    Column("Z_SOURCE", "f8", "", "redshift of the source; NaN of a decoy"),
    Column("LENSED", "?", "", "whether the source is lensed; else it lies beside the lens"),
    Column("WAVE", "f8", "Angstrom", "observed wavelength of the line's mean, vacuum"),
    Column(
        "FLUX", "f8", FLUX_UNIT, "line flux; if several, that of the strongest, as WAVE to SKEWNESS"
    ),
    Column("WIDTH", "f8", "Angstrom", "scale of the observed skew-normal profile"),
    Column("SKEWNESS", "f8", "", "its shape parameter before the spectrograph"),
    Column(
        "IDEAL_SNR",
        "f8",
        "",
        "signal-to-noise ratio of all that was put in, if noise, continuum and shape were known",
    ),
)
"""Columns of a truth table: one row a source or decoy put in."""


RECOVERED = (
    *INJECTED,
    Column("SEARCHED", "?", "", "whether the line's wavelength is not masked"),
    Column("FOUND", "?", "", "whether a hit lies at the line"),
    Column("SNR_FOUND", "f4", "", "signal-to-noise ratio of that hit"),
    Column("WAVE_FOUND", "f8", "Angstrom", "its line centre, vacuum"),
    Column("FLUX_FOUND", "f4", FLUX_UNIT, "its line flux"),
    Column("FLUX_ERR_FOUND", "f4", FLUX_UNIT, "standard error of that"),
    Column("SNR_LINES_FOUND", "f4", "", "signal-to-noise ratio of all lines of its source"),
    Column("SEARCH", "U8", "", "name of the search, in the configuration"),
    Column("Z", "f8", "", "redshift of the target, the would-be lens"),
    Column("IDEAL_ERR", "f4", FLUX_UNIT, "FLUX over IDEAL_SNR: error of the flux, at best"),
    Column("FOREGROUND", "f4", FLUX_DENSITY_UNIT, "median around the line, before it was put in"),
    *_WEIGHED,
    Column("VET_FLAGS", "i4", "", "vetting bits of that hit"),
    Column("CANDIDATE", "?", "", "whether vetting leaves it"),
    Column("RANK", "i4", "", "its place among the candidates of the spectra as they are; 0: none"),
)
"""Columns of an evaluation: one row a line put in, with what was measured of it."""

NULLS = (
    Column("NULL", "U8", "", "plain, flipped, shuffled or sky: what was done to the spectra"),
    Column("SEARCH", "U8", "", "name of the search, in the configuration"),
    Column("TARGETID", "i8", "", "identifier of the spectrum"),
    Column("Z", "f8", "", "redshift of the target that the search was told"),
    Column("WAVE", "f8", "Angstrom", "observed line centre, vacuum"),
    Column("SNR", "f4", "", "signal-to-noise ratio of the hit"),
    *_WEIGHED,
    Column("VET_FLAGS", "i4", "", "vetting bits"),
    Column("CANDIDATE", "?", "", "whether vetting leaves it"),
)
"""Columns of the hits of an evaluation where nothing was put in."""

_SOUGHT = (
    Column("SEARCH", "U8", "", "name of the search, in the configuration"),
    Column("KIND", "U16", "", "kind of source"),
    Column("LEVEL", "U9", "", "hit, candidate, or top: a candidate of the first ranks"),
)

COMPLETENESS = (
    *_SOUGHT,
    Column("QUANTITY", "U10", "", "column of lines.fits by which sources are binned"),
    Column("LOW", "f8", "", "lower end of the bin, in the unit of that column"),
    Column("HIGH", "f8", "", "its upper end"),
    Column("N_LINES", "i8", "", "sources in it"),
    Column("N_BACK", "i8", "", "those that came back"),
    Column("COMPLETENESS", "f8", "", "their fraction"),
    Column("COMPLETENESS_LOW", "f8", "", "lower end of its 68 % interval (Wilson)"),
    Column("COMPLETENESS_HIGH", "f8", "", "upper end of it"),
)
"""Columns of completeness.ecsv: one row a kind of source, level, quantity and bin."""

LIMITS = (
    *_SOUGHT,
    Column("WAVE", "f8", "Angstrom", "wavelength"),
    Column("IDEAL_ERR", "f8", FLUX_UNIT, "usual IDEAL_ERR there"),
    *(
        Column(f"FLUX_{level}{end}", "f8", FLUX_UNIT, text)
        for level in (50, 90)
        for end, text in (
            ("", f"flux at which {level} % come back; NaN where none is that complete"),
            ("_LOW", "lower end of its 68 % interval"),
            ("_HIGH", "upper end of it"),
        )
    ),
)
"""Columns of limits.ecsv: one row a kind of source, level and wavelength."""

FALSE_HITS = (
    Column("SEARCH", "U8", "", "name of the search, in the configuration"),
    Column("NULL", "U8", "", "plain, flipped, shuffled or sky: what was done to the spectra"),
    Column("N_SPECTRA", "i8", "", "spectra that were scored"),
    Column("LEVEL", "U9", "", "hit or candidate"),
    Column("COLUMN", "U11", "", "what has the threshold; SCORE is P_HYPOTHESIS times P_LENSED"),
    Column("THRESHOLD", "f8", "", "the threshold"),
    Column("N_FALSE", "i8", "", "hits or candidates at or above it"),
    Column("RATE", "f8", "", "their number in 1000 spectra"),
    Column("RATE_LOW", "f8", "", "lower end of its 68 % interval (Poisson)"),
    Column("RATE_HIGH", "f8", "", "upper end of it"),
)
"""Columns of false_hits.ecsv: one row a null, level and threshold."""

RELIABILITY = (
    Column("SEARCH", "U8", "", "name of the search, in the configuration"),
    Column("COLUMN", "U12", "", "PROBABILITY, P_LYA or P_HYPOTHESIS"),
    Column("STATED", "f8", "", "mean of the probabilities of the bin"),
    Column("TRUE", "f8", "", "weighted fraction for which it came true"),
    Column("TRUE_ERR", "f8", "", "standard error of TRUE"),
    Column("N", "i8", "", "spectra or hits in the bin"),
    Column("WEIGHT", "f8", "", "share of all that they stand for"),
)
"""Columns of reliability.ecsv: one row a probability and bin."""


def _factor(name: str, text: str, told_by: str) -> tuple[Column, Column]:
    return (
        Column(name, "f4", "", f"factor on the errors {text}"),
        Column(f"N_{name}", "i4", "", f"{told_by} that tell of it; 0 where none did"),
    )


GROWTH = (
    Column("WAVE", "f8", "Angstrom", "vacuum wavelength of a pixel; log10 is a multiple of 1e-4"),
    *_factor("SKY", "of pixels, by observed wavelength", "sky fibres"),
    *_factor("LINES", "of lines, by observed wavelength", "spectra"),
    *_factor("GALAXIES_REST", "of lines, by the wavelength in a galaxy's frame", "galaxies"),
    *_factor("QUASARS_REST", "of lines, by the wavelength in a quasar's frame", "quasars"),
)
"""Columns of the file of `speclens sky`: how much the errors grow, a row a pixel."""
