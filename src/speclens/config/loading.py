"""Configuration files: the defaults, what is laid over them, and what is wrong with them.

In: the bundled defaults, a file, `KEY=VALUE` overrides. Out: a frozen `Config`.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from speclens.config.searching import SearchConfig
from speclens.config.sections import Config
from speclens.errors import ConfigError, RunError, refusal_of

__all__ = ["bundled_configurations", "layers_of", "load_config", "load_searches"]

OWN_SEARCH: Mapping[str, Mapping[str, Sequence[str]]] = {
    "galaxy": {"lya": (), "elg": ("elg",)},
    "qso": {"lya": ("qso",), "elg": ("qso",)},
}
"""Bundled configurations of the search for a source behind a foreground. One search finds all
sources behind quasars."""

AT_ONCE: Mapping[str, Sequence[str]] = {"galaxy": ("redshift",)}
"""Those of the search for all sources behind a foreground at once, beside the searches for each."""


def bundled_configurations() -> list[str]:
    """Name the configurations that come with the package.

    Returns
    -------
    list of str
        Names to give with `-c`.
    """
    folder = files("speclens") / "configs"
    return sorted(p.name[:-5] for p in folder.iterdir() if p.name.endswith(".toml"))


def load_config(
    source: str | Path | None = None,
    overrides: Sequence[str] = (),
    recorded: Mapping[str, Any] | None = None,
    under: Sequence[str] = (),
) -> Config:
    """Read the configuration.

    Parameters
    ----------
    source : str or Path, optional
        A TOML file, or the name of a bundled configuration, laid over the defaults.
    overrides : sequence of str
        `section.key=value`, the value in TOML's notation; plain words are text.
    recorded : mapping, optional
        Sections that an earlier product recorded, laid over the defaults first; its other searches
        are read likewise.
    under : sequence of str, optional
        Names of bundled configurations that are laid over the defaults before `source` is.

    Returns
    -------
    Config
        The checked configuration.

    Raises
    ------
    ConfigError
        If a key or a value is wrong; the message names the key and the nearest valid one.
    RunError
        If a file is missing, or no TOML file.
    """
    values = _read(files("speclens") / "configs" / "speclens.toml")
    recorded = dict(recorded or {})
    searches = recorded.pop("searches", {})
    _lay_over(values, recorded, "recorded configuration")
    for file in (*under, source):
        if file is not None:
            _lay_over(values, _read(_find(file)), str(file))
    for text in overrides:
        key, separator, value = text.partition("=")
        if not separator:
            raise ConfigError(f"--set {text}: expected KEY=VALUE, e.g. matched_filter.snr_min=5.5")
        *sections, name = key.strip().split(".")
        nested: dict[str, Any] = {name: _parse(value.strip())}
        for section in reversed(sections):
            nested = {section: nested}
        _lay_over(values, nested, f"--set {text}")
    others = {name: load_config(source, overrides, own, under) for name, own in searches.items()}
    return _checked(values).model_copy(update={"searches": others})


def load_searches(
    source: str | Path | None = None,
    overrides: Sequence[str] = (),
    sources: Sequence[str] = (),
    foregrounds: Sequence[str] = (),
) -> Config:
    """Read the configuration of all searches that find some sources behind some foregrounds.

    Parameters
    ----------
    source, overrides
        As for `load_config`; they hold for every search.
    sources, foregrounds : sequence of str
        What is searched for, and behind what; those of the configuration when empty.

    Returns
    -------
    Config
        Of the first search, with the others in it.

    Raises
    ------
    ConfigError, RunError
        As for `load_config`.
    """
    asked, usual = load_config(source, overrides), load_config()
    if asked.search.name != usual.search.name:
        if sources or foregrounds:
            raise ConfigError(
                f"search.name: {asked.search.name!r} is a search of its own, which says what it "
                "finds; leave --source and --foreground out"
            )
        return asked
    sources = sources or asked.search.sources
    if not foregrounds and asked.selection.classes != usual.selection.classes:
        foregrounds = ("qso",) if asked.selection.classes == ("QSO",) else ("galaxy",)
    wanted = _wanted(sources, foregrounds or asked.search.foregrounds)
    # A method and templates are of one search: by default that of the first foreground.
    if any(
        _of_one_search(load_config(source, overrides, under=under))
        != _of_one_search(load_config(under=under))
        for under in wanted
    ):
        wanted = wanted if foregrounds else _wanted(sources, asked.search.foregrounds[:1])
        if len(wanted) > 1:
            raise ConfigError(
                "search.method, foreground.templates: they are of one search, and "
                f"{len(wanted)} were asked for; ask for one source and one foreground"
            )
    searches = []
    for under, own in wanted.items():
        config = load_config(source, overrides, under=under)
        section = config.search.model_copy(update={key: tuple(own[key]) for key in own})
        searches.append(config.model_copy(update={"search": section}))
    first, *others = searches
    named = {config.search.name: config for config in others}
    return first.model_copy(update={"searches": named})


def layers_of(search: SearchConfig) -> Sequence[str]:
    """Name the bundled configurations that a search stands on.

    Parameters
    ----------
    search : SearchConfig
        What it finds.

    Returns
    -------
    sequence of str
        Names, for `under` of `load_config`; empty for a search with a name of its own.
    """
    foreground = search.foregrounds[0]
    if search.name in AT_ONCE.get(foreground, ()):
        return AT_ONCE[foreground]
    under = OWN_SEARCH[foreground][search.sources[0]]
    return under if search.name in ("lya", *under) else ()


def _wanted(
    sources: Sequence[str], foregrounds: Sequence[str]
) -> dict[Sequence[str], dict[str, dict[str, None]]]:
    """Say which sources and foregrounds the search of each bundled configuration finds."""
    wanted: dict[Sequence[str], dict[str, dict[str, None]]] = {}
    for foreground in foregrounds:
        for name in sources:
            own = wanted.setdefault(
                OWN_SEARCH[foreground][name], {"sources": {}, "foregrounds": {}}
            )
            own["sources"][name] = own["foregrounds"][foreground] = None
        if foreground in AT_ONCE and set(sources) == set(OWN_SEARCH[foreground]):
            wanted[AT_ONCE[foreground]] = {
                "sources": dict.fromkeys(sources), "foregrounds": {foreground: None},
            }  # fmt: skip
    return wanted


def _of_one_search(config: Config) -> tuple[str, str]:
    return config.search.method, config.foreground.templates


def _checked(values: Mapping[str, Any]) -> Config:
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        # A contradiction within a section names its keys; the whole section would hide them.
        value = "" if isinstance(first["input"], dict) else f" (value: {first['input']!r})"
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"configuration: {where}: {message}{value}") from error


def _find(source: str | Path) -> Any:
    path = Path(source)
    if path.is_file():
        return path
    name = path.name.removesuffix(".toml")
    # Also beside a folder of that name, of data or of this package.
    if name in bundled_configurations() and path.parent == Path():
        return files("speclens") / "configs" / f"{name}.toml"
    if path.is_dir():
        raise RunError(f"configuration {source}: it is a folder; give a file")
    raise RunError(
        f"configuration {source}: no such file, and the bundled ones are "
        + ", ".join(bundled_configurations())
    )


def _read(resource: Any) -> dict[str, Any]:
    try:
        return tomllib.loads(resource.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise RunError(f"configuration {resource}: not a TOML file") from error
    except OSError as error:
        raise RunError(f"configuration {resource}: {refusal_of(error)}") from error
    except tomllib.TOMLDecodeError as error:
        raise RunError(f"configuration {resource}: {error}") from error


def _parse(value: str) -> Any:
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value


def _lay_over(base: dict[str, Any], top: Mapping[str, Any], source: str, path: str = "") -> None:
    """Put the values of `top` into `base`, refusing keys that `base` does not have."""
    for key, value in top.items():
        name = f"{path}{key}"
        if key not in base:
            raise ConfigError(f"{source}: unknown key {name!r}{_nearest(key, base, path)}")
        if isinstance(base[key], dict) != isinstance(value, Mapping):
            raise ConfigError(
                f"{source}: {name!r} must {'not ' * isinstance(value, Mapping)}be a section"
            )
        if isinstance(value, Mapping):
            _lay_over(base[key], value, source, f"{name}.")
        else:
            base[key] = value


def _nearest(key: str, known: Mapping[str, Any], path: str) -> str:
    """Name the whole key that was probably meant, also of a section that was left out."""
    names: dict[str, list[str]] = {}
    for section, part in known.items():
        for leaf in _leaves(part):
            names.setdefault(leaf, []).append(f"{section}.{leaf}")
    names |= {name: [f"{path}{name}"] for name in known}
    close = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
    if not close:
        return f"; known keys: {', '.join(known)}"
    return f"; did you mean {' or '.join(map(repr, names[close[0]]))}?"


def _leaves(part: Any) -> Mapping[str, Any]:
    return part if isinstance(part, Mapping) else {}
