"""What is compared: searches by name, each with its thresholds as they are and moved.

In: the names of `--with`, what is put in, a configuration that lies under all. Out: an `Entry` for
each. A search tells nothing of what lies below its thresholds; so those are moved, for rates of
false alarms other than its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from speclens.config import Config, bundled_configurations, load_config
from speclens.errors import ConfigError
from speclens.methods import METHODS, WEIGHED

__all__ = ["Entry", "common_window", "entries_of"]

STEPS = (1.3, 0.85, 0.7)
"""By which the S/N of the search by thresholds are multiplied, all together."""

LEAST_SNR, MANY = 3.0, 1000
LEAST_PROBABILITY, LEAST_EVIDENCE = 1e-5, 5.0
"""Of the other searches, whose hits are ranked by the same number that makes them hits. With less
evidence the search of lines finds so many sources that it believes none."""

OF_LINES = {"elg": ("elg", ()), "lya": (None, ("search.method=lines",))}
"""Configuration and keys of the search of lines, by what is put in."""

Base = tuple[str | None, Sequence[str]]


@dataclass(frozen=True)
class Entry:
    """A search that is compared.

    Parameters
    ----------
    name : str
        Its name.
    steps : tuple of Config
        The search as it is, and with its thresholds moved.
    """

    name: str
    steps: tuple[Config, ...]

    @property
    def config(self) -> Config:
        """The search as it is."""
        return self.steps[0]

    @property
    def weighed(self) -> bool:
        """Whether its hits have a probability by which candidates are ranked."""
        return self.config.search.method in WEIGHED


def entries_of(
    names: Sequence[str], source: str, under: str | None = None, overrides: Sequence[str] = ()
) -> list[Entry]:
    """Return the searches that were named.

    Parameters
    ----------
    names : sequence of str
        Methods, bundled configurations, files of configurations, folders of models.
    source : str
        What is put in: `lya` or `elg`.
    under : str, optional
        Configuration that lies under all of them.
    overrides : sequence of str, optional
        `section.key=value`, for all of them.

    Returns
    -------
    list of Entry
        Each once, in order.

    Raises
    ------
    ConfigError
        If there is no such search, or if one does not look for what is put in.
    RunError
        If a file is missing.
    """
    wanted = list(dict.fromkeys(name.strip() for name in names if name.strip()))
    if not wanted:
        raise ConfigError("--with names no search; for example --with resnet,shu2016")
    entries = []
    for name in wanted:
        file, own = _base_of(name, source)
        layers = () if under is None else (under,)
        config = load_config(file, [*own, *overrides], under=layers)
        if source not in config.search.sources:
            raise ConfigError(
                f"--with {name}: it finds {', '.join(config.search.sources)}, and what is put in "
                f"is {source}; leave it out, or give --source {config.search.sources[0]}"
            )
        entries.append(Entry(_label(name), (config, *_moved(config))))
    labels = [entry.name for entry in entries]
    if len({*labels}) < len(labels):
        raise ConfigError(f"--with: two searches have the same name: {', '.join(labels)}")
    return entries


def common_window(entries: Sequence[Entry]) -> tuple[float, float]:
    """Return the wavelengths that all searches see.

    Parameters
    ----------
    entries : sequence of Entry
        The searches.

    Returns
    -------
    tuple of float
        Ends, Angstrom.

    Raises
    ------
    ConfigError
        If there are none.
    """
    windows = {entry.name: entry.config.preparation.window for entry in entries}
    low = max(window[0] for window in windows.values())
    high = min(window[1] for window in windows.values())
    if not low < high:
        told = ", ".join(f"{name} {a:g}-{b:g}" for name, (a, b) in windows.items())
        raise ConfigError(f"--with: the searches share no wavelengths ({told} Angstrom)")
    return low, high


def _base_of(name: str, source: str) -> Base:
    """Return the configuration of a name, and the keys that make it this search."""
    bases: dict[str, Base] = {
        "resnet": (None, ()),
        "matched-filter": (None, ("search.method=matched-filter",)),
        "lines": OF_LINES[source],
        "redshift-network": ("redshift", ()),
        "specutils": (None, ("search.method=specutils",)),
    }
    if name in bases:
        return bases[name]
    if name in bundled_configurations() or Path(name).is_file():
        return name, ()
    if (Path(name) / "model.json").is_file():
        return None, (f'search.model="{name}"',)
    raise ConfigError(
        f"--with {name}: no such search; there are {', '.join(bases)}, the configurations "
        f"{', '.join(bundled_configurations())}, files of configurations, and folders of models"
    )


def _label(name: str) -> str:
    return name if name in METHODS or name in bundled_configurations() else Path(name).stem


def _moved(config: Config) -> Iterator[Config]:
    """Move the thresholds of a search."""
    if config.search.method == "line-thresholds":
        names = ("first_snr", "line_snr", "total_snr", "lone_snr", "cubic_snr")
        for step in STEPS:
            limits = {name: step * getattr(config.thresholds, name) for name in names}
            yield _with(config, "thresholds", **limits)
    elif config.search.method == "lines":
        yield _with(config, "lines", ln_evidence_min=LEAST_EVIDENCE)
    elif config.search.method in ("matched-filter", "specutils"):
        yield _with(config, "matched_filter", snr_min=LEAST_SNR, max_hits=MANY)
    else:
        yield _with(config, "search", probability_min=LEAST_PROBABILITY)


def _with(config: Config, section: str, **values: float) -> Config:
    changed = getattr(config, section).model_copy(update=values)
    return config.model_copy(update={section: changed})
