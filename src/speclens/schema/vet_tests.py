"""The vet tests: what each measures of a hit, and what it marks.

One record a test: its columns of hits.fits and its bits of VET_FLAGS. From here come the table, the
limits that the configuration must give, judgement, funnel, reasons, pages and documentation.
"""

from __future__ import annotations

from speclens.schema.records import Column, VetFlag, VetTest
from speclens.schema.units import FLUX_DENSITY_UNIT, FLUX_UNIT

__all__ = ["TESTS"]

QUALITY = VetTest(
    "quality",
    "Quality",
    "The line",
    columns=(
        Column("PEAK", "f4", FLUX_DENSITY_UNIT, "highest flux density of the fitted line"),
        Column("NOISE", "f4", FLUX_DENSITY_UNIT, "median standard error of the pixels fitted"),
        Column("GOOD_PIXELS", "f4", "", "fraction of the line's pixels that hold a measurement"),
        Column("EDGE_PIXELS", "f4", "", "pixels from the line to the nearest end of the window"),
        Column(
            "SPIKE_DCHI2", "f4", "", "chi2 of the fitted line minus that of a spike of 1-2 pixels"
        ),
    ),
    flags=(
        VetFlag(
            1 << 0,
            "FAINT",
            "SNR",
            "below",
            "snr_min",
            "the line is faint",
            "faint: S/N {SNR:.1f}",
            "not negative",
        ),
        VetFlag(
            1 << 1,
            "LOW_PEAK",
            "PEAK",
            "below",
            "peak_min",
            "the line's peak is low (Li et al. 2019, section 4)",
            "low peak: {PEAK:.2f} 1e-17 erg/s/cm2/Angstrom",
            "not negative",
        ),
        VetFlag(
            1 << 2,
            "NOISY",
            "NOISE",
            "above",
            "noise_max",
            "the spectrum is noisy there",
            "noisy: errors of {NOISE:.2f} 1e-17 erg/s/cm2/Angstrom",
            "positive",
        ),
        VetFlag(
            1 << 3,
            "MASKED",
            "GOOD_PIXELS",
            "below",
            "good_pixels_min",
            "pixels of the line are masked, or its spectrum could not be read again",
            "masked: {GOOD_PIXELS:.0%} of the line is measured",
            "fraction",
        ),
        VetFlag(
            1 << 4,
            "EDGE",
            "EDGE_PIXELS",
            "below",
            "edge_pixels_min",
            "the window ends at the line",
            "end of the window: {EDGE_PIXELS:.0f} pixels away",
            "not negative",
        ),
        VetFlag(
            1 << 5,
            "SPIKE",
            "SPIKE_DCHI2",
            "above",
            "spike_dchi2_max",
            "narrower than the spectrograph can make",
            "spike of 1-2 pixels: chi2 better by {SPIKE_DCHI2:.1f}",
        ),
        VetFlag(
            1 << 6,
            "POOR_FIT",
            "CHI2_NU",
            "above",
            "chi2_nu_max",
            "no skew-normal line describes the spectrum",
            "no skew-normal line: reduced chi2 {CHI2_NU:.1f}",
            "positive",
        ),
    ),
)

SKEWNESS = VetTest(
    "skewness",
    "Skewness",
    "As Lyman alpha",
    columns=(
        Column("FIT_STATUS", "U12", "", "fitted, at_bound, no_data, no_spectrum or failed"),
        Column("CHI2_NU", "f4", "", "reduced chi2 of the skew-normal fit"),
        Column("FIT_WAVE", "f8", "Angstrom", "mean of the fitted line, vacuum"),
        Column(
            "CONTINUUM", "f4", FLUX_DENSITY_UNIT, "horizontal line of the fit, over the foreground"
        ),
        Column("LYA_FLUX", "f4", FLUX_UNIT, "flux of the fitted line"),
        Column("LYA_FLUX_ERR", "f4", FLUX_UNIT, "standard error of LYA_FLUX"),
        Column("WIDTH", "f4", "Angstrom", "scale of the fitted line before the spectrograph"),
        Column("SKEWNESS", "f4", "", "shape of the fitted line before the spectrograph"),
        Column("SKEWNESS_ERR", "f4", "", "half of the 68 % interval of SKEWNESS"),
        Column("SKEWNESS_LOW", "f4", "", "lower end of that interval"),
        Column("SKEWNESS_HIGH", "f4", "", "upper end of that interval"),
        Column(
            "SKEW_DCHI2", "f4", "", "chi2 of the best symmetric line minus that of the best line"
        ),
    ),
    flags=(
        VetFlag(
            1 << 9,
            "NOT_SKEWED",
            "SKEWNESS",
            "below",
            "skewness_min",
            "no blue edge and red tail (Li et al. 2019, section 4)",
            "no red tail: skewness {SKEWNESS:.1f}, {SKEWNESS_LOW:.1f} to {SKEWNESS_HIGH:.1f}",
        ),
    ),
)

OVERDENSITY = VetTest(
    "overdensity",
    "Over-densities",
    "Among the others",
    columns=(
        Column("DENSE_OBSERVED", "f4", "", "excess of hits at this observed wavelength, sigma"),
        Column(
            "DENSE_REST", "f4", "", "excess of hits at this wavelength in the lens's frame, sigma"
        ),
        Column("SMOOTH_FRACTION", "f4", "", "share of the hits there that is no excess"),
    ),
    flags=(
        VetFlag(
            1 << 7,
            "DENSE_OBSERVED",
            "DENSE_OBSERVED",
            "above",
            "dense_max",
            "many hits at this observed wavelength: airglow",
            "airglow at {WAVE:.0f} Angstrom: hits {DENSE_OBSERVED:.1f} sigma too many",
            "positive",
        ),
        VetFlag(
            1 << 8,
            "DENSE_REST",
            "DENSE_REST",
            "above",
            "dense_max",
            "many hits at this wavelength of the lens: a residual of the foreground",
            "residual of the foreground at {WAVE_LENS:.0f} Angstrom of the lens: "
            "hits {DENSE_REST:.1f} sigma too many",
            "positive",
        ),
    ),
)

INTERLOPERS = VetTest(
    "interlopers",
    "Interlopers",
    "As another line",
    columns=(
        Column("Z_OII", "f8", "", "redshift of the source if the line is [O II]"),
        Column("SNR_HBETA", "f4", "", "S/N of H beta at Z_OII"),
        Column("SNR_OIII4959", "f4", "", "S/N of [O III] 4960 at Z_OII"),
        Column("SNR_OIII5007", "f4", "", "S/N of [O III] 5008 at Z_OII"),
        Column("SNR_HALPHA", "f4", "", "S/N of H alpha at Z_OII"),
        Column("OII_SNR", "f4", "", "highest S/N at H beta, [O III] 5008 and H alpha"),
        Column("OII_EVIDENCE", "f4", "", "ln likelihood ratio of [O II] against a lone line"),
        Column("DOUBLET_DCHI2", "f4", "", "chi2 of the best line minus that of an [O II] doublet"),
        Column("OTHER_LINE", "U12", "", "likeliest other line of a source at another redshift"),
        Column("OTHER_EVIDENCE", "f4", "", "ln likelihood ratio of that line against a lone line"),
        Column("LENS_LINE", "U12", "", "nearest emission line of the lens galaxy"),
        Column("LENS_LINE_KMS", "f4", "km/s", "distance from that line"),
    ),
    flags=(
        VetFlag(
            1 << 10,
            "OII_LINES",
            "OII_SNR",
            "above",
            "oii_snr_max",
            "H beta, [O III] or H alpha where an [O II] line would put it",
            "[O II] at z = {Z_OII:.3f}: {OII_LINE} at S/N {OII_SNR:.0f}",
        ),
        VetFlag(
            1 << 11,
            "OII",
            "OII_EVIDENCE",
            "above",
            "oii_evidence_max",
            "the spectrum is better explained by an [O II] emitter",
            "[O II] at z = {Z_OII:.3f}: {OII_LINE} at S/N {OII_SNR:.0f}, "
            "ln evidence {OII_EVIDENCE:.1f}",
        ),
        VetFlag(
            1 << 12,
            "OTHER_SOURCE",
            "OTHER_EVIDENCE",
            "above",
            "other_evidence_max",
            "the spectrum is better explained by OTHER_LINE of a source",
            "{OTHER_LINE} at z = {Z_OTHER:.3f}: ln evidence {OTHER_EVIDENCE:.1f}",
        ),
        VetFlag(
            1 << 13,
            "LENS_LINE",
            "LENS_LINE_KMS",
            "below",
            "lens_line_kms_min",
            "LENS_LINE of the lens galaxy itself",
            "{LENS_LINE} of the lens: {LENS_LINE_KMS:.0f} km/s away",
            "not negative",
        ),
    ),
)

COMPANIONS = VetTest(
    "companions",
    "Companions",
    "Among the others",
    columns=(
        Column("NEIGHBOUR_SNR", "f4", "", "highest S/N of the same line in a neighbouring fibre"),
        Column(
            "NEIGHBOUR_DSIGMA",
            "f4",
            "",
            "most that may cross from there minus FLUX, over its error",
        ),
        Column("N_REPEATS", "i2", "", "other spectra of the same object in the run"),
        Column("REPEAT_DSIGMA", "f4", "", "flux in those minus FLUX, over its error"),
        Column("N_EXPOSURES", "i2", "", "single exposures that cover the line"),
        Column(
            "EXPOSURE_DSIGMA",
            "f4",
            "",
            "flux of the other exposures minus that of the brightest, sigma",
        ),
    ),
    flags=(
        VetFlag(
            1 << 14,
            "NEIGHBOUR",
            "NEIGHBOUR_DSIGMA",
            "above",
            "neighbour_dsigma_max",
            "the same line in a neighbouring fibre, so bright that it is cross-talk",
            "cross-talk: the same line in a neighbouring fibre, at S/N {NEIGHBOUR_SNR:.0f}, "
            "is bright enough to cross",
        ),
        VetFlag(
            1 << 15,
            "NOT_REPEATED",
            "REPEAT_DSIGMA",
            "below",
            "dsigma_min",
            "missing in other spectra of the same object",
            "missing in {N_REPEATS} other spectra of the object: {REPEAT_DSIGMA:.1f} sigma",
        ),
        VetFlag(
            1 << 16,
            "ONE_EXPOSURE",
            "EXPOSURE_DSIGMA",
            "below",
            "dsigma_min",
            "in one exposure only: a cosmic ray",
            "cosmic ray: in one of {N_EXPOSURES} exposures only, "
            "the others {EXPOSURE_DSIGMA:.1f} sigma",
        ),
    ),
)

PROBABILITY = VetTest(
    "probability",
    "Probability",
    "As Lyman alpha",
    columns=(Column("P_LYA", "f4", "", "probability that the line is Lyman alpha"),),
    flags=(
        VetFlag(
            1 << 17,
            "UNLIKELY",
            "P_LYA",
            "below",
            "p_lya_min",
            "probably not Lyman alpha, all tests together",
            "{AGAINST}; P(Ly alpha) = {P_LYA:.3f}",
            "fraction",
        ),
        VetFlag(
            1 << 18,
            "DOUBTFUL",
            "P_HYPOTHESIS",
            "below",
            "p_hypothesis_min",
            "probably another source, or none, by all of its lines",
            "P({HYPOTHESIS}) = {P_HYPOTHESIS:.3f}",
            "fraction",
        ),
    ),
)

DOUBLE_PEAK = VetTest(
    "double_peak",
    "Two peaks",
    "As Lyman alpha",
    columns=(
        Column("PEAKS_DCHI2", "f4", "", "chi2 of the skew-normal line minus that of two lines"),
        Column("PEAKS_KMS", "f4", "km/s", "distance of the two lines"),
        Column("PEAKS_RATIO", "f4", "", "flux of the red one over that of the blue one"),
    ),
    flags=(
        VetFlag(
            1 << 19,
            "TWO_PEAKS",
            "PEAKS_DCHI2",
            "above",
            "peaks_dchi2_max",
            "two lines, not one: Lyman alpha may be so (Cao et al. 2020), and [O II] is",
            "two peaks, {PEAKS_KMS:.0f} km/s apart: chi2 better by {PEAKS_DCHI2:.1f}",
        ),
    ),
)

AIRGLOW = VetTest(
    "airglow",
    "Airglow",
    "The line",
    columns=(
        Column("SKY_EXCESS", "f4", "", "errors at the line over those around it"),
        Column("SKY_KMS", "f4", "km/s", "distance of the nearest line of the night sky"),
    ),
    flags=(
        VetFlag(
            1 << 20,
            "SKY_LINE",
            "SKY_EXCESS",
            "above",
            "sky_excess_max",
            "on a line of the sky",
            "on a sky line: errors {SKY_EXCESS:.1f} times those around",
            "positive",
        ),
        VetFlag(
            1 << 21,
            "NIGHT_SKY",
            "SKY_KMS",
            "below",
            "sky_kms_min",
            "at a line of the night sky of which subtraction often leaves something",
            "at {WAVE:.0f} Angstrom the night sky has a line: {SKY_KMS:.0f} km/s away",
            "not negative",
        ),
    ),
)

SAME_LINE = VetTest(
    "other_searches",
    "Other searches",
    "Among the others",
    columns=(
        Column("SAME_AS", "i4", "", "row of hits.fits: the same line by another search; -1: none"),
        Column("SAME_P", "f4", "", "P_HYPOTHESIS of that hit where it stands for this one"),
    ),
    flags=(
        VetFlag(
            1 << 22,
            "SAME_LINE",
            "SAME_P",
            "above",
            "same_p_max",
            "another search tells the same line, as what it likelier is",
            "the same line by another search, likelier: probability {SAME_P:.3f}",
            "not negative",
        ),
    ),
)

TESTS = (
    QUALITY, SKEWNESS, OVERDENSITY, INTERLOPERS, COMPANIONS, PROBABILITY, DOUBLE_PEAK, AIRGLOW,
    SAME_LINE,
)  # fmt: skip
"""All vet tests, in the order of their columns."""
