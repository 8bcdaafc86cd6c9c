"""The searches of a configuration: which there are for what is asked, and what each is given."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from speclens.config import Config, load_config, load_searches
from speclens.errors import ConfigError

LYA = ("lya",), ("galaxy",), "resnet"
ELG = ("elg",), ("galaxy",), "lines"
BEHIND_QUASARS = ("lya", "elg"), ("qso",), "lines"
REDSHIFT = (("lya", "elg"), ("galaxy",), "redshift-network")


def searches_of(
    *arguments: Any, **asked: Any
) -> dict[str, tuple[tuple[str, ...], tuple[str, ...], str]]:
    """Sources, foregrounds and method of each search, by its name."""
    sections = {n: c.search for n, c in load_searches(*arguments, **asked).each.items()}
    return {name: (s.sources, s.foregrounds, s.method) for name, s in sections.items()}


@pytest.mark.parametrize(
    ("asked", "searches"),
    [
        ({}, {"lya": LYA, "qso": (("lya",), ("qso",), "lines")}),
        ({"foregrounds": ("galaxy",)}, {"lya": LYA}),
        ({"sources": ("elg",), "foregrounds": ("galaxy",)}, {"elg": ELG}),
        (
            {"sources": ("lya", "elg")},
            {"lya": LYA, "qso": BEHIND_QUASARS, "elg": ELG, "redshift": REDSHIFT},
        ),
        (
            {"sources": ("lya", "elg"), "foregrounds": ("galaxy",)},
            {"lya": LYA, "elg": ELG, "redshift": REDSHIFT},
        ),
        ({"sources": ("lya", "elg"), "foregrounds": ("qso",)}, {"qso": BEHIND_QUASARS}),
        ({"source": "li2019"}, {"lya": LYA}),
        ({"source": "shu2016"}, {"lya": (("lya",), ("galaxy",), "matched-filter")}),
        ({"source": "elg"}, {"elg": ELG}),
        ({"source": "qso"}, {"qso": BEHIND_QUASARS}),
        ({"overrides": ["search.method=resnet"]}, {"lya": LYA}),
        ({"overrides": ["search.method=matched-filter"]}, {"lya": (*LYA[:2], "matched-filter")}),
    ],
)
def test_sources_and_foregrounds_say_which_searches_there_are(
    asked: dict[str, Any], searches: dict[str, Any]
) -> None:
    assert searches_of(**asked) == searches


@pytest.mark.parametrize("name", ["slacs", "bells", "silo"])
def test_a_published_search_is_one_search(name: str) -> None:
    config = load_searches(name)
    assert list(config.each) == [name]
    assert config == load_config(name)


def test_the_search_of_meyer2017_is_one_of_quasars_alone() -> None:
    config, alone = load_searches("meyer2017"), load_config("meyer2017")
    assert list(config.each) == [config.search.name] == ["meyer"]
    assert config.search.foregrounds == ("qso",)
    assert set(config.search.sources) == {"lya", "elg"}
    for section in ("selection", "preparation", "foreground", "matched_filter", "thresholds"):
        assert getattr(config, section) == getattr(alone, section)


def test_each_search_has_the_limits_of_its_own_configuration_and_what_is_asked_of_all() -> None:
    asked = "vet.snr_min=5.5"
    config = load_searches(None, [asked], ("lya", "elg"))
    for name, own in config.each.items():
        alone = load_config(None if name == "lya" else name, [asked])
        assert not own.searches
        same = own.model_copy(update={"search": alone.search})
        assert same == alone
    assert config.of("qso").lines.ln_evidence_min > config.of("elg").lines.ln_evidence_min
    assert config.of("qso") == config.searches["qso"]
    # Hits of earlier versions have no name, and are the first search's.
    assert config.of("") == config.of("lya") == config


@pytest.mark.parametrize(
    "asked",
    [
        {"overrides": ["search.method=matched-filter"], "foregrounds": ("galaxy", "qso")},
        {"overrides": ["search.method=resnet"], "sources": ("lya", "elg")},
        {"overrides": ["foreground.templates=mine.fits"], "sources": ("lya", "elg")},
        {"source": "shu2016", "foregrounds": ("galaxy", "qso")},
    ],
)
def test_h1_a_method_or_templates_of_one_search_are_refused_for_several(
    asked: dict[str, Any],
) -> None:
    with pytest.raises(ConfigError, match=r"search\.method, foreground\.templates.*one search"):
        load_searches(**asked)


def test_h1_a_search_with_a_name_of_its_own_is_alone() -> None:
    assert list(load_searches(None, ["search.name=mine"]).each) == ["mine"]
    with pytest.raises(ConfigError, match="leave --source and --foreground out"):
        load_searches(None, ["search.name=mine"], sources=("lya", "elg"))


def test_h1_names_of_searches_differ() -> None:
    recorded = load_searches().model_dump(mode="json")
    recorded["searches"] = {"lya": recorded["searches"]["qso"]}
    with pytest.raises(ValidationError, match="the name of two searches"):
        Config.model_validate(recorded)


def test_classes_that_are_named_are_of_one_search() -> None:
    quasars = load_searches(None, ['selection.classes=["QSO"]'])
    assert list(quasars.each) == ["qso"]
    both = load_searches(None, ['selection.classes=["GALAXY", "QSO"]'])
    assert list(both.each) == ["lya"]
    assert both.selection.classes == ("GALAXY", "QSO")


def test_the_other_searches_decide_with_the_first() -> None:
    one, several = load_searches(None, (), ("lya",), ("galaxy",)), load_searches()
    assert one.deciding("search") == {
        name: keys for name, keys in several.deciding("search").items() if name != "searches"
    } | {"search": one.deciding("search")["search"]}
    quasars = several.of("qso").deciding("search")
    assert several.deciding("search")["searches"] == {"qso": quasars}
    changed = several.of("qso").model_copy(
        update={"lines": several.of("qso").lines.model_copy(update={"ln_evidence_min": 30.0})}
    )
    other = several.model_copy(update={"searches": {"qso": changed}})
    assert other.deciding("search") != several.deciding("search")
    assert len({config.digest for config in (one, several, other)}) == 3


def test_a_recorded_configuration_with_searches_reads_back() -> None:
    config = load_searches(None, ["vet.snr_min=5.5"], ("lya", "elg"))
    recorded = json.loads(json.dumps(config.model_dump(mode="json")))
    read = load_config(None, (), recorded)
    assert read == config
    assert list(read.each) == list(config.each)
    assert read.digest == config.digest
    # What is laid over it reaches every search.
    later = load_config(None, ["vet.peak_min=2.0"], recorded)
    assert {own.vet.peak_min for own in later.each.values()} == {2.0}
    assert {own.vet.snr_min for own in later.each.values()} == {5.5}
