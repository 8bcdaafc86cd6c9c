"""Check what `make release` built: what the archives hold, and that the wheel works by itself.

In: a folder with one sdist and one wheel. Out: their sizes; an error when the sdist is not what git
knows, or when an empty environment cannot search with the wheel. Warnings are errors there; with
the lowest versions, what these say of being outdated is not.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
TUTORIAL = ROOT / "docs" / "tutorial.md"
CELL = re.compile(r"```\{code-cell\} ipython3\n(.*?)```", re.DOTALL)
MADE = {"PKG-INFO", ".gitignore"}
"""What building adds to an sdist."""

REFUSED_WARNINGS = "error"
OUTDATED = "ignore::DeprecationWarning,ignore::PendingDeprecationWarning"
"""What old versions say of those that they were not made for."""

TELL = "from importlib.metadata import version; import sys; print(*map(version, sys.argv[1:]))"

MOST_BYTES = 15e6
"""Of either archive."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Check a folder of archives."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dist", type=Path, help="folder with one sdist and one wheel")
    parser.add_argument("--lowest", action="store_true",
                        help="with the lowest versions of all dependencies, by uv")  # fmt: skip
    parser.add_argument("--archives-only", action="store_true", help="make no environment")
    options = parser.parse_args(arguments)
    (sdist,), (wheel,) = options.dist.glob("*.tar.gz"), options.dist.glob("*.whl")
    check_sdist(sdist)
    check_wheel(wheel)
    if not options.archives_only:
        with tempfile.TemporaryDirectory(prefix="speclens-release-") as folder:
            check_installed(wheel.resolve(), Path(folder), options.lowest)


def check_sdist(path: Path) -> None:
    """Compare an sdist with the files that git knows."""
    with tarfile.open(path) as archive:
        files = [member for member in archive.getmembers() if member.isfile()]
    names = {member.name.partition("/")[2] for member in files}
    command = ["git", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    known = {*filter(None, listed.split("\0"))}
    strange = sorted(names - known - MADE)
    missing = sorted(name for name in known - names if not name.startswith("."))
    if strange or missing:
        raise SystemExit(f"{path.name}: not known to git {strange}, missing {missing}")
    tell(path, len(files), sum(member.size for member in files))


def check_wheel(path: Path) -> None:
    """See that a wheel holds the package and nothing else."""
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
    top = {info.filename.partition("/")[0] for info in infos}
    if {name for name in top if not name.endswith(".dist-info")} != {"speclens"}:
        raise SystemExit(f"{path.name}: holds {sorted(top)}")
    tell(path, len(infos), sum(info.file_size for info in infos))


def tell(path: Path, n_files: int, unpacked: int) -> None:
    """Say how large an archive is, and refuse one that is too large."""
    size = path.stat().st_size
    print(f"{path.name}: {n_files} files, {size / 1e6:.1f} MB, unpacked {unpacked / 1e6:.1f} MB")
    if size > MOST_BYTES:
        raise SystemExit(f"{path.name}: more than {MOST_BYTES / 1e6:g} MB")


def check_installed(wheel: Path, folder: Path, lowest: bool) -> None:
    """Install a wheel into an empty environment, search with it and run the tutorial."""
    python = environment_with(wheel, folder / "environment", lowest)
    place = folder / "work"
    place.mkdir()
    (place / "tutorial.py").write_text(tutorial(), encoding="utf-8")
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    refused = f"{REFUSED_WARNINGS},{OUTDATED}" if lowest else REFUSED_WARNINGS
    clean |= {"PYTHONWARNINGS": refused, "MPLBACKEND": "agg"}
    command = str(python.with_name("speclens"))
    mock = ["--set", "survey.n_plates=1", "--set", "survey.n_fibres=60"]
    run([str(python), "-c", "import speclens; speclens.Spectra"], place, clean)
    run([command, "--version"], place, clean)
    run([command, "demo", "-o", "demo", "--quiet", *mock], place, clean)
    search = ["search", "demo/survey", "-o", "run", "--method", "matched-filter"]
    run([command, *search, "--quiet", "--workers", "1"], place, clean)
    run([str(python), "tutorial.py"], place, clean)
    versions = "the lowest versions" if lowest else "the versions of constraints.txt"
    print(f"{wheel.name}: installed with {versions}, searched with, and the tutorial run")


def environment_with(wheel: Path, folder: Path, lowest: bool) -> Path:
    """Make an environment that holds a wheel and what it needs; return its Python."""
    run([sys.executable, "-m", "venv", str(folder)], ROOT, os.environ)
    python = folder / "bin" / "python"
    if not lowest:
        pip = [str(python), "-m", "pip", "install", "--quiet", "-c", "constraints.txt"]
        run([*pip, str(wheel)], ROOT, os.environ)
        return python
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if uv is None:
        raise SystemExit("uv is not installed; pip install uv")
    install = ["pip", "install", "--quiet", "--resolution", "lowest-direct"]
    # Of what the wheel names by itself the newest versions would be taken.
    wanted = lowest_versions()
    asked = [f"{name}>={version}" for name, version in wanted.items()]
    run([uv, *install, "--python", str(python), str(wheel), *asked], ROOT, os.environ)
    found = run([str(python), "-c", TELL, *wanted], ROOT, os.environ).split()
    for (name, version), installed in zip(wanted.items(), found, strict=True):
        if not f"{installed}.".startswith(f"{version}."):
            raise SystemExit(f"{name}: {installed} was installed, the lowest is {version}")
    return python


def lowest_versions() -> dict[str, str]:
    """Return the lowest version of each package that ours needs."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        needed = tomllib.load(file)["project"]["dependencies"]
    return dict(text.split(">=") for text in needed)


def tutorial() -> str:
    """Return all cells of the tutorial as a script."""
    return "\n".join(CELL.findall(TUTORIAL.read_text(encoding="utf-8")))


def run(command: Sequence[str], place: Path, environment: Mapping[str, str]) -> str:
    """Run a command, and return what it prints; all that it says is shown where it fails."""
    done = subprocess.run(
        command, cwd=place, env=dict(environment), capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = (done.stdout + done.stderr)[-4000:]
        raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}\n{said}")
    return done.stdout


if __name__ == "__main__":
    main()
