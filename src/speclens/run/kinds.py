"""What folders are for: the kinds that verbs write, their formats, and what they hold.

In: nothing. Out: a `Kind` for each, and the refusal of a folder that another version wrote.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import speclens
from speclens.errors import RunError

__all__ = [
    "COMPARISON",
    "EVALUATION",
    "FETCHED",
    "FORMAT",
    "HIDDEN",
    "MARKER",
    "MODEL",
    "OWN_FILES",
    "PART",
    "PARTS",
    "RUN",
    "SURVEY",
    "TRAINING_SET",
    "VETTING",
    "Kind",
    "refuse_other_format",
]

FORMAT = 8
"""Version of what a run's folder holds; it grows when an older version could not read it."""

MARKER = "speclens.json"
"""Says what a folder is for; written first of all."""


PARTS = "parts"
"""Folder of a run's parts, in the folder of the run."""


@dataclass(frozen=True)
class Kind:
    """What a folder is for.

    Parameters
    ----------
    name : str
        In the marker, and in messages.
    remedy : str
        What to do when another version wrote it.
    products : tuple of str
        Patterns of the files that are written there, relative to the folder.
    format : int, optional
        Version of what it holds.
    """

    name: str
    remedy: str
    products: tuple[str, ...]
    format: int = 1

    @property
    def named(self) -> str:
        """Its name, with the article."""
        return f"{'an' if self.name[0] in 'aeiou' else 'a'} {self.name}"


TABLES = (
    "hits.*", "hypotheses.fits", "heat_map.fits", "candidates.*", "known.ecsv", "selection.json",
    "run.json",
)  # fmt: skip
RUN = Kind("run", "search again into another folder", ("spectra.fits", *TABLES), FORMAT)
PART = Kind("part of a run", "search it again into another folder", ("part.json",), FORMAT)
VETTING = Kind("vetting", "vet the run again into another folder", TABLES, FORMAT)
EVALUATION = Kind(
    "evaluation", "evaluate again into another folder",
    ("lines.*", "decoys.fits", "nulls.fits", "completeness*.*", "limits*.*", "false_hits*.*",
     "selection.*", "reliability*.*"),
    2,
)  # fmt: skip
HIDDEN = Kind("set of hidden lines", "delete it", ("spectra.fits", *TABLES, "truth.fits"), FORMAT)
COMPARISON = Kind(
    "comparison", "compare again into another folder",
    ("scores.fits", *(f"{name}.ecsv" for name in (
        "rates", "roc", "by_snr", "overlap", "prevalence", "cost",
    )), "roc*.png", "completeness*.png", "comparison.*"),
)  # fmt: skip
TRAINING_SET = Kind(
    "training set", "simulate it again into another folder",
    ("?????-inputs.npy", "?????-labels.npy", "manifest.json"),
)  # fmt: skip
MODEL = Kind(
    "model", "train again into another folder",
    ("model.json", "README.md", "*.safetensors", "metrics.jsonl", "curves.png"),
)  # fmt: skip
SURVEY = Kind(
    "mock survey", "choose another -o",
    ("truth.*", "spAll-mock.fits", "*/spPlate-*.fits", "*/*/spZbest-*.fits", "*/coadd-mock-*.fits",
     "*/redrock-mock-*.fits"),
)  # fmt: skip
FETCHED = Kind("folder of fetched files", "fetch into another folder", ())
OWN_FILES = (MARKER, *(f"work/*.{suffix}" for suffix in (
    "shard", "hits", "json", "rows", "index", "unsorted", "npz", "pt",
)))  # fmt: skip
"""Of every kind."""


def refuse_other_format(place: Path, kind: Kind, found: int, writer: str) -> None:
    """Refuse a folder that another version wrote in another format.

    Parameters
    ----------
    place : Path
        The folder.
    kind : Kind
        What it is for.
    found : int
        Its format.
    writer : str
        The version that wrote it.

    Raises
    ------
    RunError
        If this version does not read that format.
    """
    if found > kind.format:
        raise RunError(
            f"{place}: written by speclens {writer} in format {found}, and this is "
            f"{speclens.__version__}, which reads format {kind.format}: install a newer speclens"
        )
    if found < kind.format:
        raise RunError(
            f"{place}: written by speclens {writer} in format {found}, and this version reads "
            f"format {kind.format}: {kind.remedy}"
        )
