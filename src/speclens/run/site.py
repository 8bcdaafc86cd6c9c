"""A site's jobs, as its TOML file describes them.

In: `n_jobs`, `wait` and whatever dask-jobqueue takes for the queueing system, by its names. Out:
`Site`, complete: one process a core, and dashboards that only their own machine can see.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from speclens.errors import ConfigError

__all__ = ["QUEUES", "Site"]

QUEUES = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "sge": "SGECluster",
    "lsf": "LSFCluster",
    "htcondor": "HTCondorCluster",
    "oar": "OARCluster",
}
"""Queueing systems, and what dask-jobqueue calls them."""

LOOPBACK = "127.0.0.1:0"
"""A port that is free, for this machine alone."""

SECONDS_IN_QUEUE = 3600.0


@dataclass(frozen=True)
class Site:
    """What the jobs of a site are like.

    Parameters
    ----------
    system : str
        One of `QUEUES`.
    n_jobs : int
        Number of jobs.
    wait : float
        Seconds to wait for a worker when there is none.
    options : dict
        All else, for dask-jobqueue.
    path : Path, optional
        The file that says so.
    """

    system: str
    n_jobs: int = 1
    wait: float = SECONDS_IN_QUEUE
    options: dict[str, Any] = field(default_factory=dict)
    path: Path | None = None

    @classmethod
    def read(cls, system: str, path: Path | None) -> Site:
        """Read the file of a site.

        Parameters
        ----------
        system : str
            One of `QUEUES`.
        path : Path, optional
            The file; without one Dask's own configuration says all.

        Returns
        -------
        Site
            The site.

        Raises
        ------
        ConfigError
            If it is none of them, or the file cannot be read, or its numbers are none.
        """
        if system not in QUEUES:
            raise ConfigError(
                f"--cluster {system}: expected {', '.join(QUEUES)}, which take --site, or the "
                "address of a scheduler, e.g. tcp://host:8786"
            )
        try:
            keys = tomllib.loads(path.read_text("utf-8")) if path else {}
        except OSError as error:
            raise ConfigError(f"--site {path}: {error.strerror or error}") from error
        except ValueError as error:
            raise ConfigError(f"--site {path}: not a TOML file ({error})") from error
        n_jobs, wait = keys.pop("n_jobs", 1), keys.pop("wait", SECONDS_IN_QUEUE)
        if type(n_jobs) is not int or n_jobs < 1:
            raise ConfigError(f"--site {path}: n_jobs: expected a number of jobs, not {n_jobs!r}")
        if type(wait) not in (int, float) or wait <= 0:
            raise ConfigError(f"--site {path}: wait: expected seconds, not {wait!r}")
        if "cores" in keys:
            keys.setdefault("processes", keys["cores"])
        more = keys.get("worker_extra_args", [])
        keys["worker_extra_args"] = ["--dashboard-address", LOOPBACK, *more]
        scheduler = {"dashboard_address": LOOPBACK}
        keys["scheduler_options"] = scheduler | keys.get("scheduler_options", {})
        return cls(system, n_jobs, float(wait), keys, path)

    @property
    def named(self) -> str:
        """Who says what its jobs are like."""
        return f"--site {self.path}" if self.path else "Dask's jobqueue.yaml"

    @property
    def n_processes(self) -> int:
        """Number of processes of all jobs."""
        return self.n_jobs * int(self.options.get("processes", 1))
