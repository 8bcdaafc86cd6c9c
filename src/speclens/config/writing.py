"""The configuration as TOML, with what each key means.

In: a `Config`. Out: text that `-c` reads again. Meanings are the comments of the default file; they
stand nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from speclens.config.loading import load_config
from speclens.config.sections import Config

if TYPE_CHECKING:
    from tomlkit import TOMLDocument
    from tomlkit.items import Item

__all__ = ["configuration_toml", "documented_keys", "toml_value"]

COMMENT_COLUMN = 39


def toml_value(value: Any) -> str:
    """Write one value.

    Parameters
    ----------
    value : object
        Text, a number, a list.

    Returns
    -------
    str
        The value in TOML's notation, in one line.
    """
    import tomlkit

    return str(tomlkit.item(value).as_string())


def configuration_toml(config: Config) -> str:
    """Write a configuration.

    Parameters
    ----------
    config : Config
        The configuration.

    Returns
    -------
    str
        All sections and keys with their values and meanings; TOML. Values that are the defaults are
        written as there, lines by their names.
    """
    usual, ours = (c.model_dump(mode="json", exclude={"searches"}) for c in (load_config(), config))
    if ours == usual:
        return _default_text()
    document = _defaults()
    _put(document, usual, ours)
    return document.as_string()


def documented_keys() -> Iterator[tuple[str, str, str]]:
    """List the keys of the configuration.

    Yields
    ------
    name, value, meaning : str
        Dotted name, default in TOML's notation, and what it means; of a section the value is empty.
    """
    yield from _documented(_defaults(), "")


def _defaults() -> TOMLDocument:
    import tomlkit

    return tomlkit.parse(_default_text())


def _default_text() -> str:
    return (files("speclens") / "configs" / "speclens.toml").read_text(encoding="utf-8")


def _put(table: Any, usual: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    """Replace the values that differ, in their places."""
    for key, value in ours.items():
        if value == usual.get(key):
            continue
        if isinstance(value, dict) and value.keys() == usual[key].keys():
            _put(table[key], usual[key], value)
            continue
        item, comment = _item(value), _comment(_raw(table, key))
        if comment:
            room = COMMENT_COLUMN - len(f"{key} = {item.as_string()}")
            item.trivia.comment_ws, item.trivia.comment = " " * max(room, 1), comment
        table[key] = item


def _item(value: Any) -> Any:
    """Make a value that stands behind its key, tables too."""
    import tomlkit

    if isinstance(value, dict):
        inline = tomlkit.inline_table()
        inline.update({key: _item(part) for key, part in value.items()})
        return inline
    if isinstance(value, list):
        array = tomlkit.array()
        array.extend([_item(part) for part in value])
        return array.multiline(bool(value) and isinstance(value[0], dict))
    return tomlkit.item(value)


def _documented(table: Any, path: str) -> Iterator[tuple[str, str, str]]:
    from tomlkit.items import AoT, Table

    for key in table:
        name, item = f"{path}{key}", _raw(table, key)
        value = "" if isinstance(item, Table | AoT) else item.as_string()
        yield name, value, _comment(item).removeprefix("#").strip()
        if isinstance(item, Table):
            yield from _documented(item, f"{name}.")


def _raw(table: Any, key: str) -> Any:
    """Return a value with its comment, which tomlkit takes off some."""
    return (table.value if hasattr(table, "trivia") else table).item(key)


def _comment(item: Item) -> str:
    from tomlkit.items import AoT

    return (item[0] if isinstance(item, AoT) else item).trivia.comment
