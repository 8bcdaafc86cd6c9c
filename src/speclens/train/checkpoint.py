"""The state of a training on disk: complete or absent, and of one training only.

In: tensors and plain values. Out: the same. Written beside its place and renamed; read without
running any code that a file might hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch
from torch import Tensor

from speclens.errors import RunError
from speclens.products import replacing

__all__ = ["Checkpoint", "State"]

DAMAGED = (
    OSError, EOFError, BadZipFile, NotImplementedError, LookupError, RuntimeError, TypeError,
    ValueError,
)  # fmt: skip
"""What zipfile and torch raise for files that are damaged, foreign or hostile."""


@dataclass(frozen=True)
class State:
    """What `Checkpoint.save` was given."""

    network: dict[str, Tensor]
    buffers: list[dict[str, Tensor]]
    optimizer: dict[str, Any]
    epoch: int
    step: int
    records: list[dict[str, Any]]
    scores: dict[str, Any]
    seconds: float


class Checkpoint:
    """A file with the state of one training.

    Parameters
    ----------
    path : Path
        The file.
    identity : str
        All that decides the training: set, architecture, settings.
    """

    def __init__(self, path: Path, identity: str) -> None:
        self.path = path
        self._identity = identity

    def save(self, **state: Any) -> None:
        """Write the state; the fields are those of `State`."""
        # Into memory first: torch hides what a full disk says.
        content = BytesIO()
        torch.save({"identity": self._identity, "state": state}, content)
        with replacing(self.path) as file:
            file.write(content.getbuffer())

    def load(self, device: torch.device) -> State | None:
        """Read the state.

        Parameters
        ----------
        device : torch.device
            Where the tensors go.

        Returns
        -------
        State or None
            None when there is no file.

        Raises
        ------
        RunError
            If the file is damaged, or belongs to another training.
        """
        if not self.path.exists():
            return None
        try:
            with ZipFile(self.path) as archive:  # torch does not look at the checksums
                if damaged := archive.testzip():
                    raise BadZipFile(f"checksum of {damaged}")
            # Tensors and plain values only: whatever else a file holds is refused, not run.
            stored = torch.load(self.path, map_location=device, weights_only=True)
            identity, state = stored["identity"], State(**stored["state"])
        except UnpicklingError as error:
            raise self._damaged("it holds more than tensors and plain values") from error
        except DAMAGED as error:
            raise self._damaged(str(error).partition("\n")[0]) from error
        if identity != self._identity:
            raise RunError(
                f"{self.path} belongs to a training with another set or other settings; choose "
                "another -o, or delete it"
            )
        return state

    def _damaged(self, why: str) -> RunError:
        return RunError(f"{self.path}: damaged ({why}); delete it to train anew")
