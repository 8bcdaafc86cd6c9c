"""run.json: what a run is, what came of it, and whether it has ended.

In: a folder. Out: the record, checked; an error that says what to do where it cannot be used.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_origin, get_type_hints

import speclens
from speclens.errors import RunError
from speclens.products import write_json
from speclens.run.folder import Folder
from speclens.run.kinds import FORMAT, refuse_other_format
from speclens.run.marker import read_json

__all__ = ["NAME", "RunRecord", "read_record", "refuse_left_out"]

NAME = "run.json"
NAMED = 5


@dataclass
class RunRecord:
    """What run.json holds; stages add to it what they find.

    Parameters
    ----------
    versions : dict of str to str
        Of speclens and of what it stands on.
    method : str
        The search.
    configuration : dict
        All sections.
    configuration_sha256 : str
        Digest of them.
    inputs : list of str
        Files and folders as they were given, absolute.
    folder : str
        Where the command was given.
    workers : int
        Number of processes.
    model_sha256, engine : str, optional
        The network, and what ran it.
    sky_sha256 : str
        Digest of the growth of the errors (`speclens sky`).
    catalogue : str, optional
        Survey catalogue, absolute.
    verify : bool
        Whether data that disagree with their DATASUM were refused.
    files : dict
        Plates, spec files and others: numbers, and the names of some others.
    counts, reasons, not_gathered : dict of str to int
        Spectra by status, hits and candidates; spectra by reason; files that could not be read
        again for their hits, by reason.
    seconds : dict of str to float
        By stage.
    spectra_per_second : float, optional
        Of the search; None when nothing was searched anew.
    notes : list of str
        What a reader of the tables must know; `search_notes`, `known_notes` and `report_notes` are
        those of one stage each.
    truth : list of dict
        What came back of the lines of a mock survey.
    purposes : list of dict
        What the candidates are worth for some purposes, where a selection function tells it.
    worth : list of dict
        Candidates listed, how many of them are true, and completeness, down to some ranks.
    purpose : str
        How the list of candidates was cut, in words.
    vetted_by : dict
        Configuration and overrides of the last vetting.
    vetting_of : str, optional
        The run, where this is a vetting beside it.
    seed : int, optional
        None: a search draws no random numbers.
    stage : str
        `search`, `vet` or `done`: how far the tables agree.
    format : int
        Of the folder, see `speclens.run.kinds`.
    """

    versions: dict[str, Any]
    method: str
    configuration: dict[str, Any]
    inputs: list[str]
    counts: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, Any] = field(default_factory=dict)
    configuration_sha256: str = ""
    folder: str = ""
    workers: int = 1
    model_sha256: str | None = None
    engine: str | None = None
    sky_sha256: str = ""
    catalogue: str | None = None
    verify: bool = True
    files: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, Any] = field(default_factory=dict)
    not_gathered: dict[str, Any] = field(default_factory=dict)
    spectra_per_second: float | None = None
    notes: list[str] = field(default_factory=list)
    search_notes: list[str] = field(default_factory=list)
    known_notes: list[str] = field(default_factory=list)
    report_notes: list[str] = field(default_factory=list)
    truth: list[dict[str, Any]] = field(default_factory=list)
    purposes: list[dict[str, Any]] = field(default_factory=list)
    worth: list[dict[str, Any]] = field(default_factory=list)
    purpose: str = ""
    vetted_by: dict[str, Any] = field(default_factory=lambda: {"configuration": None, "set": []})
    vetting_of: str | None = None
    seed: int | None = None
    stage: str = "search"
    format: int = FORMAT

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> RunRecord:
        """Read what `write` wrote.

        Parameters
        ----------
        content : mapping
            The content of run.json.

        Returns
        -------
        RunRecord
            The same; what other versions added is left out.

        Raises
        ------
        ValueError
            If something is missing, or is of another type; names it.
        """
        wrong = [item.name for item in fields(cls) if not _is_as_declared(item, content)]
        if wrong:
            raise ValueError(", ".join(wrong))
        return cls(
            **{item.name: content[item.name] for item in fields(cls) if item.name in content}
        )

    def write(self, folder: Path, stage: str) -> None:
        """Write run.json.

        Parameters
        ----------
        folder : Path
            The run.
        stage : str
            How far it is from now on.

        Raises
        ------
        RunError
            If it cannot be written; what stood there before stays.
        """
        self.stage = stage
        write_json(folder / NAME, self.content)

    @property
    def cards(self) -> dict[str, Any]:
        """The provenance for the header of each table."""
        model = self.model_sha256
        return {
            "CREATOR": f"speclens {speclens.__version__}",
            "METHOD": self.method,
            **({"MODEL": " ".join(one[:16] for one in model.split(", "))} if model else {}),
            "CONFIG": self.configuration_sha256[:16],
        }

    @property
    def content(self) -> dict[str, Any]:
        """The content of run.json; a search says nothing of `vetting_of`."""
        content = asdict(self)
        if self.vetting_of is None:
            del content["vetting_of"]
        return content


def _is_as_declared(item: Any, content: Mapping[str, Any]) -> bool:
    if item.name not in content:
        return item.default is not MISSING or item.default_factory is not MISSING
    declared = get_type_hints(RunRecord)[item.name]
    # Of `float | None` and its like the parts, of `list[str]` the list.
    allowed = tuple(get_origin(part) or part for part in getattr(declared, "__args__", ()))
    if get_origin(declared) in (dict, list):
        allowed = (get_origin(declared),)
    value = content[item.name]
    return isinstance(value, allowed or declared) and (type(value) is bool) == (declared is bool)


def read_record(folder: Folder) -> RunRecord:
    """Read run.json.

    Parameters
    ----------
    folder : Folder
        A run, or a vetting of one.

    Returns
    -------
    RunRecord
        Its content.

    Raises
    ------
    RunError
        If it is missing or damaged, if another version wrote what this one cannot read, or if the
        search has not ended.
    """
    path = folder.path / NAME
    content = read_json(path, folder.path)
    if content is None or content.get("stage") == "search":
        raise RunError(f"{folder.path}: its search has not ended; run the same search again")
    versions = content.get("versions")
    writer = versions.get("speclens", "?") if isinstance(versions, dict) else "of another version"
    found = content.get("format", 1)
    if type(found) is int:
        refuse_other_format(folder.path, folder.kind, found, str(writer))
    try:
        return RunRecord.of(content)
    except ValueError as error:
        raise RunError(f"{path}: damaged ({error}); run the same search again") from error


def refuse_left_out(folder: Folder, inputs: Sequence[str]) -> None:
    """Refuse a search that names less than the one before: spectra would vanish from the tables.

    Parameters
    ----------
    folder : Folder
        The run.
    inputs : sequence of str
        Files and folders to search, absolute.

    Raises
    ------
    RunError
        If an earlier search into this folder had inputs that are not named now.
    """
    earlier = (read_json(folder.path / NAME, folder.path) or {}).get("inputs", [])
    left_out = [path for path in earlier if not any(_within(path, given) for given in inputs)]
    if left_out:
        raise RunError(
            f"{folder.path} holds a search of {', '.join(left_out[:NAMED])}: name that too, or "
            "choose another -o"
        )


def _within(path: str, given: str) -> bool:
    return path == given or path.startswith(given.rstrip(os.sep) + os.sep)
