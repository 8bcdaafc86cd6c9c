"""The state of a training on disk: complete or absent, and of one training only.

In: tensors and plain values. Out: the same. Written beside its place and renamed; read without
running any code that a file might hold.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from speclens.errors import RunError
from speclens.products import replacing

__all__ = ["Checkpoint", "State"]


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
        arrays: dict[str, Any] = {}
        plain = _without_tensors(state, "", arrays)
        header = json.dumps({"identity": self._identity, "state": plain})
        with replacing(self.path) as file:
            np.savez(file, allow_pickle=False, header=np.array(header), **arrays)

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
        if not os.path.exists(self.path):
            return None
        try:
            with self.path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                header = json.loads(str(stored["header"]))
                tensors = {
                    name: torch.from_numpy(stored[name]).to(device)
                    for name in stored.files
                    if name != "header"
                }
            identity = header["identity"]
            state = State(**_with_tensors(header["state"], tensors))
        except (OSError, ValueError, LookupError, TypeError, EOFError, BadZipFile) as error:
            raise RunError(f"{self.path}: damaged ({error}); delete it to train anew") from error
        if identity != self._identity:
            raise RunError(
                f"{self.path} belongs to a training with another set or other settings; choose "
                "another -o, or delete it"
            )
        return state


def _without_tensors(value: Any, path: str, arrays: dict[str, Any]) -> Any:
    """Move tensors into `arrays`; leave a name in their place, and JSON's types around it."""
    if isinstance(value, Tensor):
        arrays[path] = value.detach().cpu().numpy()
        return {"tensor": path}
    if isinstance(value, dict):
        items = [
            [key, _without_tensors(item, f"{path}/{key}", arrays)] for key, item in value.items()
        ]
        return {"dict": items}
    if isinstance(value, list | tuple):
        return [_without_tensors(item, f"{path}/{i}", arrays) for i, item in enumerate(value)]
    return value


def _with_tensors(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Undo `_without_tensors`."""
    if isinstance(value, list):
        return [_with_tensors(item, tensors) for item in value]
    if isinstance(value, dict):
        if "tensor" in value:
            return tensors[value["tensor"]]
        return {key: _with_tensors(item, tensors) for key, item in value["dict"]}
    return value
