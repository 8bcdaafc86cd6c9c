"""How a command ends: results on stdout, an error as one line, an exit code.

In: a command. Out: what it has to say, and the exit code of the process: 0 done, 1 could not run,
2 wrong usage, 3 finished with failed inputs, 130 and 143 ended by SIGINT and SIGTERM.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from speclens.cli.interruption import InterruptedRun
from speclens.cli.streams import lost_output, steady_streams
from speclens.errors import SpeclensError

__all__ = ["FINISHED_WITH_FAILURES", "end_with_code", "results"]

FINISHED_WITH_FAILURES = 3
INTERRUPTED = 130
EXTRAS = {
    "torch": ".[train]",
    **dict.fromkeys(("starlette", "uvicorn"), ".[grade]"),
    **dict.fromkeys(("dask", "dask_jobqueue", "distributed"), ".[cluster]"),
}


@contextmanager
def results() -> Iterator[None]:
    """Print results of products that are whole, whether or not anybody can read it.

    Yields
    ------
    None
        Nothing; print to stdout meanwhile.
    """
    yield
    lost = lost_output()
    if lost:
        _say(f"cannot write to stdout: {lost}", 0)


def end_with_code(command: Callable[[], object]) -> None:
    """Run a command, and end the process.

    Parameters
    ----------
    command : callable
        What the user asked for.

    Raises
    ------
    SystemExit
        Always, with the exit code.
    """
    with steady_streams():
        code = _code_of(command)
        lost = lost_output()
        if lost:
            code = code or _say(f"cannot write to stdout: {lost}", 1)
        raise SystemExit(code)


def _code_of(command: Callable[[], object]) -> int:
    """Run a command; return the exit code."""
    try:
        command()
    except (SystemExit, KeyboardInterrupt) as end:
        # Typer turns the other one into an exit of its own.
        cause: BaseException = end
        while cause.__context__ is not None:
            cause = cause.__context__
        if isinstance(cause, KeyboardInterrupt):
            return _say("interrupted; run the same command again to go on", INTERRUPTED)
        return end.code if isinstance(end, SystemExit) and isinstance(end.code, int) else 0
    except InterruptedRun as end:
        return _say(str(end), end.exit_code)
    except SpeclensError as error:
        return _say(str(error), error.exit_code)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("speclens"):
            raise
        wanted = EXTRAS.get(error.name or "", ".")
        how = f'in a copy of the repository, pip install "{wanted}"'
        return _say(f"needs {error.name}, which is not installed: {how}", 1)
    return 0


def _say(message: str, code: int) -> int:
    print(f"speclens: {message}", file=sys.stderr)
    return code
