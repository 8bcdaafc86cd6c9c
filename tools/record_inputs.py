"""Record anew what the bundled models, or others, see of raw spectra; their weights stay.

    python tools/record_inputs.py [MODEL...]

Searches refuse a model whose input is computed in another way than recorded. Where the code was
changed on purpose, and the network does as well on the new input, this records the new one. Where
it does not, train the model again (`make models`).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import speclens
from speclens.config import load_config
from speclens.networks.model_folder import read_model, write_model
from speclens.search.input_record import record_inputs

BUNDLED = Path(speclens.__file__).parent / "data" / "models"


def record(folder: Path) -> None:
    """Record the input of one model.

    Parameters
    ----------
    folder : Path
        The model, which is written again.
    """
    model = read_model(folder)
    names = model.metadata["configuration"]["network"]["inputs"]
    config = load_config(None, (), model.metadata["configuration"])
    card = (folder / "README.md").read_text(encoding="utf-8")
    written = write_model(
        folder, replace(model, record=record_inputs(config, names, model.kind)), card
    )
    print(f"{folder}: {written.digest[:16]}")


def main() -> None:
    """Record the inputs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", type=Path, metavar="MODEL")
    for folder in parser.parse_args().models or sorted(BUNDLED.iterdir()):
        record(folder)


if __name__ == "__main__":
    main()
