"""The options that verbs share, each with its help."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from speclens.methods import METHODS

__all__ = [
    "Beside",
    "Catalogue",
    "Cluster",
    "Completeness",
    "ConfigFile",
    "Device",
    "Foreground",
    "Inputs",
    "KnownSystems",
    "Method",
    "Model",
    "Output",
    "Overrides",
    "Purity",
    "Quiet",
    "Run",
    "Seed",
    "Selection",
    "Site",
    "Sky",
    "Source",
    "SourceKind",
    "Templates",
    "Workers",
    "asked_for",
]


class SourceKind(StrEnum):
    """Sources to choose from."""

    LYA = "lya"
    ELG = "elg"
    ALL = "all"


class ForegroundKind(StrEnum):
    """Foregrounds to choose from."""

    AUTO = "auto"
    GALAXY = "galaxy"
    QSO = "qso"


class Device(StrEnum):
    """Where to train."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


Method = Annotated[
    str | None,
    typer.Option(
        metavar="|".join(METHODS),
        help="The search, of one source and foreground; by default resnet for lya, else lines.",
    ),
]
Source = Annotated[
    SourceKind | None,
    typer.Option(
        help="What is behind: lya (the default), elg, galaxies by all of their lines, or all.",
    ),
]
Foreground = Annotated[
    ForegroundKind | None,
    typer.Option(help="Behind what: galaxy, qso, or auto, by CLASS (the default)."),
]
Model = Annotated[
    str | None,
    typer.Option(metavar="DIR", help="The network: speclens, li2019, or a model's folder."),
]
Catalogue = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="spAll, specObj or CSV with classes and redshifts."),
]
Templates = Annotated[
    str | None, typer.Option(metavar="FILE", help="Eigenspectra in the spEigen format.")
]
Sky = Annotated[
    str | None, typer.Option(metavar="FILE", help="Growth of the errors, from speclens sky.")
]
Selection = Annotated[
    str | None,
    typer.Option(metavar="OUT", help="An evaluation: completeness and q-values of candidates."),
]
Purity = Annotated[
    float | None,
    typer.Option(metavar="P", help="List as many candidates as have this expected purity."),
]
Completeness = Annotated[
    float | None,
    typer.Option(metavar="C", help="List as few as are this complete for bright sources."),
]
Inputs = Annotated[
    list[str],
    typer.Argument(metavar="INPUT...", help="Survey files, plain tables of spectra, or folders."),
]
Output = Annotated[Path, typer.Option("-o", "--output", help="Folder to write.")]
ConfigFile = Annotated[
    str | None,
    typer.Option(
        "-c",
        "--config",
        metavar="FILE.toml",
        help="A file, or bells, desi, elg, li2019, meyer2017, qso, redshift, shu2016, silo, slacs, "
        "speclens, three_classes.",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override one value of the configuration."),
]
Beside = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="Folder to write; RUN then stays as it is."),
]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="The output folder of a search.")]
KnownSystems = Annotated[
    str | None,
    typer.Option("--known", metavar="FILE", help="Published systems, to be marked: a table."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of all randomness.")]
Workers = Annotated[int, typer.Option(min=0, help="Processes; 0 for one a core.")]
Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS|SYSTEM",
        help="Work on a Dask scheduler, or on jobs of slurm, pbs, sge, lsf, htcondor or oar.",
    ),
]
Site = Annotated[
    Path | None,
    typer.Option("--site", metavar="FILE.toml", help="What the site's jobs are like."),
]


def asked_for(option: SourceKind | ForegroundKind | None) -> tuple[str, ...]:
    """Return what an option asks for.

    Parameters
    ----------
    option : SourceKind or ForegroundKind, optional
        The option.

    Returns
    -------
    tuple of str
        Names of sources or of foregrounds; empty where the configuration says.
    """
    if option in (SourceKind.ALL, ForegroundKind.AUTO):
        return tuple(kind.value for kind in type(option) if kind is not option)
    return (option.value,) if option else ()
