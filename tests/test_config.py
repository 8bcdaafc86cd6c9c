"""The configuration: its keys, its files and what is refused."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from speclens.cli.options import ConfigFile
from speclens.config import (
    Config,
    bundled_configurations,
    configuration_toml,
    documented_keys,
    load_config,
    toml_value,
)
from speclens.config.base import Stage
from speclens.errors import ConfigError, RunError, SpeclensError
from speclens.lines import REST_LINES
from speclens.spectra import LogGrid


def keys_of(values: dict[str, Any], path: str = "") -> set[str]:
    """Dotted names of all values."""
    names: set[str] = set()
    for key, value in values.items():
        name = f"{path}{key}"
        names |= keys_of(value, f"{name}.") if isinstance(value, dict) else {name}
    return names


def bundled(name: str) -> dict[str, Any]:
    return tomllib.loads((files("speclens") / "configs" / f"{name}.toml").read_text("utf-8"))


def test_the_default_and_the_rivals_configuration_are_bundled() -> None:
    assert {"speclens", "shu2016"} <= set(bundled_configurations())


def test_the_command_line_names_every_bundled_configuration() -> None:
    _, option = get_args(ConfigFile)
    assert option.help == f"A file, or {', '.join(bundled_configurations())}."


@pytest.mark.parametrize("name", bundled_configurations())
def test_every_bundled_configuration_loads(name: str) -> None:
    assert load_config(name) == load_config(f"{name}.toml")


@pytest.mark.parametrize("name", bundled_configurations())
def test_every_key_of_a_bundled_configuration_exists(name: str) -> None:
    assert keys_of(bundled(name)) <= keys_of(load_config().model_dump())


def test_the_default_file_gives_every_value() -> None:
    Config.model_validate(bundled("speclens"))
    assert load_config() == load_config("speclens")


def test_the_default_is_the_sample_and_window_of_li2019() -> None:
    config = load_config()
    assert LogGrid.covering(*config.preparation.window).n_pixels == 1192
    assert config.selection.z_min == 0.3
    assert set(config.selection.refused_subclasses) == {"STARFORMING", "BROADLINE", "AGN"}
    assert [round(w) for w in config.preparation.lens_lines] == [3347, 3427, 3728, 3870]


def test_the_rivals_numbers_are_those_of_shu2016() -> None:
    config = load_config("shu2016")
    assert config.selection.columns == "Z_NOQSO"
    assert config.selection.refuse_zwarning
    assert config.preparation.window == (3600.0, 4800.0)
    assert config.preparation.mask_half_width == 10
    assert (config.foreground.n_components, config.foreground.n_polynomial) == (4, 3)
    filtering = config.matched_filter
    assert (filtering.sigma_pixels, filtering.line_fwhm_kms) == ((2.2,), ())
    assert 2 * filtering.half_width + 1 == 15
    assert (filtering.snr_min, filtering.max_hits) == (6.0, 5)
    assert config.noise.quantiles == (0.025, 0.975)
    assert config.noise.quantile_divisor == 4.0
    assert config.noise.sky_chi2_max == 1.4


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("matched_filter.snr_mim=5", "matched_filter.snr_min"),
        ("snr_mim=5", "matched_filter.snr_min' or 'vet.snr_min"),
        ("max_hits=5", "matched_filter.max_hits"),
        ("matched_filtre.snr_min=5", "matched_filter"),
        ("preparation.windows=[3800.0, 5000.0]", "preparation.window"),
        ("Selection.z_min=0.1", "selection"),
    ],
)
def test_h1_an_unknown_key_is_refused_with_the_nearest(text: str, nearest: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown key.*did you mean '{nearest}'") as caught:
        load_config(overrides=[text])
    assert text in str(caught.value)
    assert caught.value.exit_code == 2


def test_h1_an_unknown_key_without_a_neighbour_lists_the_known() -> None:
    with pytest.raises(ConfigError, match=r"known keys: .*snr_min"):
        load_config(overrides=["matched_filter.qqqq=1"])


def test_h1_a_typo_in_a_file_names_the_file_and_the_key(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[matched_filter]\nmaxhits = 3\n")
    with pytest.raises(ConfigError, match=r"mine\.toml: unknown key.*max_hits"):
        load_config(path)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("matched_filter.snr_min=high", "matched_filter.snr_min"),
        ("matched_filter.snr_min=-1", "matched_filter.snr_min"),
        ("matched_filter.snr_min=nan", "matched_filter.snr_min"),
        ("matched_filter.snr_min=inf", "matched_filter.snr_min"),
        ("matched_filter.max_hits=2.5", "matched_filter.max_hits"),
        ("matched_filter.max_hits=0", "matched_filter.max_hits"),
        ("preparation.window=3800", "preparation.window"),
        ("preparation.window=[3800.0]", "preparation.window"),
        ("selection.classes=GALAXY", "selection.classes"),
        ("selection.columns=Z_QSO", "selection.columns"),
        ("selection.refuse_zwarning=perhaps", "selection.refuse_zwarning"),
        ("preparation.poor_fraction=1.5", "preparation.poor_fraction"),
    ],
)
def test_h1_a_value_of_the_wrong_type_or_range_names_its_key(text: str, key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        load_config(overrides=[text])


@pytest.mark.parametrize(
    "texts",
    [
        ["preparation.window=[5000.0, 3800.0]"],
        ["preparation.window=[38000.0, 50000.0]"],
        ["matched_filter.sigma_pixels=[2.2]"],
        ["matched_filter.line_fwhm_kms=[]"],
        ["emitters.flux_range=[200.0, 3.0]"],
        ["survey.first_pixel_range=[35571, 35515]"],
        ["survey.redshift_means=[0.5]"],
        ["survey.star_fraction=0.95"],
        ["survey.lya_fraction=1.0"],
        ["survey.elg_fraction=0.99"],
        ["survey.quasar_lya_fraction=0.99"],
    ],
)
def test_h1_contradictory_values_are_refused(texts: list[str]) -> None:
    named = r"window|line_fwhm_kms|flux_range|first_pixel|redshift_means|star_fraction|fractions"
    with pytest.raises(ConfigError, match=named) as caught:
        load_config(overrides=texts)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("matched_filter.snr_min", "expected KEY=VALUE"),
        ("", "expected KEY=VALUE"),
        ("=5", "unknown key"),
        ("selection=5", "must be a section"),
        ("selection.z_min.deep=5", "must not be a section"),
    ],
)
def test_h1_a_malformed_override_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(overrides=[text])


@pytest.mark.parametrize(
    ("content", "code"), [(b"[selection\n", 1), (b"\xff\xfe", 1), (b"a = 1", 2)]
)
def test_h1_a_broken_file_is_refused_by_name(tmp_path: Path, content: bytes, code: int) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    with pytest.raises(SpeclensError, match=r"broken\.toml") as caught:
        load_config(path)
    assert caught.value.exit_code == code


@pytest.mark.parametrize("source", ["nowhere.toml", "nowhere", "/tmp/nowhere/shu2016.toml"])  # noqa: S108
def test_h1_a_missing_file_is_refused_with_the_bundled_names(source: str) -> None:
    with pytest.raises(RunError, match=r"no such file.*shu2016"):
        load_config(source)


def test_an_override_changes_one_value_only() -> None:
    changed = load_config(overrides=["matched_filter.snr_min=5.5"])
    assert changed.matched_filter.snr_min == 5.5
    restored = changed.model_copy(
        update={"matched_filter": changed.matched_filter.model_copy(update={"snr_min": 6.0})}
    )
    assert restored == load_config()


def test_overrides_win_over_the_file_and_the_last_wins(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[matched_filter]\nsnr_min = 4.0\nmax_hits = 9\n")
    config = load_config(path, ["matched_filter.snr_min=5", "matched_filter.snr_min = 7"])
    assert (config.matched_filter.snr_min, config.matched_filter.max_hits) == (7.0, 9)


def test_an_override_takes_lists_and_plain_words() -> None:
    config = load_config(
        overrides=[
            "selection.columns=Z_NOQSO",
            'selection.classes=["GALAXY", "QSO"]',
            "selection.refuse_zwarning=true",
            "foreground.templates=a=b.fits",
        ]
    )
    assert config.selection.columns == "Z_NOQSO"
    assert config.selection.classes == ("GALAXY", "QSO")
    assert config.selection.refuse_zwarning is True
    assert config.foreground.templates == "a=b.fits"


def test_a_file_of_the_users_shadows_a_bundled_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shu2016").write_text("[matched_filter]\nsnr_min = 3.0\n")
    monkeypatch.chdir(tmp_path)
    assert load_config("shu2016").matched_filter.snr_min == 3.0


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_config().selection.z_min = 0.5  # type: ignore[misc]


def test_digest_follows_the_values() -> None:
    assert load_config().digest == load_config("speclens").digest
    one = load_config(overrides=["selection.z_min=0.31"]).digest
    assert len({one, load_config().digest, load_config("shu2016").digest}) == 3


def test_the_name_of_a_line_stands_for_its_wavelength() -> None:
    named = load_config(overrides=['preparation.lens_lines=["H beta", 5000.5]'])
    assert named.preparation.lens_lines == (REST_LINES["H beta"].wave, 5000.5)
    (one, two), _ = (load_config(overrides=[text]).vet.lens_lines for text in (
        'vet.lens_lines=["H beta", {name = "mine", wave = 4000.0}]', "vet.lens_lines=[]",
    ))  # fmt: skip
    assert (one.name, one.wave) == ("H beta", REST_LINES["H beta"].wave)
    assert (two.name, two.wave) == ("mine", 4000.0)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('preparation.lens_lines=["H omega"]', "preparation.lens_lines.0"),
        ('vet.lens_lines=["H omega"]', "vet.lens_lines.0.wave"),
        ("preparation.sky_lines=[-5.0]", "preparation.sky_lines.0"),
    ],
)
def test_h1_a_line_that_nobody_knows_is_refused(text: str, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"configuration: {key}: "):
        load_config(overrides=[text])


CHANGES = (
    "selection.classes=[]",
    'foreground.templates=/tmp/a "b" \\ c#d\u00e9\U0001f600.fits',
    "selection.refuse_zwarning=true",
    "survey.noise.spike_rate=1e-7",
    "vet.lens_lines=[{name = \"a 'b'\", wave = 4000.0}]",
    "training_set.line_kinds={lya = 1.0}",
)


@pytest.mark.parametrize("source", [None, "li2019", "shu2016"])
@pytest.mark.parametrize("change", [None, *CHANGES])
def test_a_written_configuration_reads_back(
    tmp_path: Path, source: str | None, change: str | None
) -> None:
    config = load_config(source, [change] if change else [])
    path = tmp_path / "written.toml"
    path.write_text(configuration_toml(config), encoding="utf-8")
    assert load_config(path) == config
    assert configuration_toml(load_config(path)) == path.read_text(encoding="utf-8")


def test_what_is_written_is_the_default_file_but_for_what_differs() -> None:
    default = (files("speclens") / "configs" / "speclens.toml").read_text("utf-8")
    assert configuration_toml(load_config()) == default
    changed = configuration_toml(load_config(overrides=["selection.z_min=0.25"])).splitlines()
    (pair,) = ((a, b) for a, b in zip(default.splitlines(), changed, strict=True) if a != b)
    assert pair[1] == pair[0].replace("0.3 ", "0.25")  # meaning and its column stay


def test_every_key_has_a_meaning() -> None:
    documented = {name: meaning for name, _, meaning in documented_keys()}
    assert keys_of(load_config().model_dump()) <= {
        *documented, *(f"training_set.line_kinds.{k}" for k in ("lya", "oii", "line")),
        *(f"training_set.artefact_fractions.{k}" for k in ("spike", "sky_line")),
        *(f"training_set.source_kinds.{k}" for k in ("elg", "lya")),
        *(f"training_set.decoy_fractions.{k}" for k in ("before", "line")),
        *(f"evaluation.hits_per_lens.{k}" for k in ("lya", "oii", "line")),
    }  # fmt: skip
    assert [name for name, meaning in documented.items() if len(meaning) < 4] == []


@pytest.mark.parametrize(
    "value", ["", 'a"b\\c', "\U0001f600\t", "# no comment", True, [1.5, 2.0], 3]
)
def test_a_value_reads_back(value: Any) -> None:
    assert tomllib.loads(f"value = {toml_value(value)}") == {"value": value}


def test_a_key_decides_what_its_section_does_unless_it_says_otherwise() -> None:
    config = load_config()
    assert set(config.deciding("evidence")) == {"vet"}
    assert "spectrum" in config.deciding("evidence")["vet"]
    assert "snr_min" not in config.deciding("evidence")["vet"]
    assert "snr_min" in config.deciding("vetting")["vet"]
    assert "spike_snr" in config.deciding("search")["preparation"]
    assert "spike_snr" not in config.deciding("network")["preparation"]
    content = config.model_dump(mode="json")
    for section, keys in config.deciding("search").items():
        assert keys == content[section]


def test_every_key_decides_something() -> None:
    config, decided = load_config(), set()
    for stage in get_args(Stage):
        decided |= {(s, key) for s, keys in config.deciding(stage).items() for key in keys}
    assert decided == {(s, k) for s, keys in config.model_dump().items() for k in keys}


def test_a_unit_that_nobody_knows_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"wave_unit: unknown unit; did you mean Angstrom"):
        load_config(None, ["tables.wave_unit=Angstroem"])
    assert load_config(None, ["tables.wave_unit=nm"]).tables.wave_unit == "nm"


def test_a_folder_is_no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunError, match="it is a folder; give a file"):
        load_config(tmp_path)
    (tmp_path / "desi").mkdir()
    expected = load_config("desi")
    monkeypatch.chdir(tmp_path)
    assert load_config("desi") == expected
