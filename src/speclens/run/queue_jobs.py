"""The jobs of a queueing system whose processes are the workers of a Dask scheduler.

In: a site. Out: the script of a job, the scheduler, and jobs, which are submitted anew when they
end.
"""

from __future__ import annotations

import difflib
import time
from inspect import signature
from shutil import which
from typing import Any

import dask
import dask_jobqueue
from dask_jobqueue.core import Job, JobQueueCluster
from distributed.core import Status

from speclens.errors import ConfigError, RunError
from speclens.run.site import QUEUES, Site

__all__ = ["QueueJobs", "job_script", "started"]

SECONDS_TO_RESTART = 60.0
"""A job without a worker for so long has ended."""

NEEDED = ("cores", "memory")
OF_CLUSTER = set(signature(JobQueueCluster.__init__).parameters) - {"self"}
OF_JOB = set(signature(Job.__init__).parameters) - {"self"}
BOTH = {"interface", "protocol"}


def job_script(site: Site, scheduler: str = "tcp://SCHEDULER:8786") -> str:
    """Return the script of a job; neither the queueing system nor a scheduler need be there.

    Parameters
    ----------
    site : Site
        What jobs are like.
    scheduler : str, optional
        The address that its workers look for.

    Returns
    -------
    str
        The script.

    Raises
    ------
    ConfigError
        If dask-jobqueue refuses the options.
    """
    kind = getattr(dask_jobqueue, QUEUES[site.system]).job_cls
    _refuse_unknown(site, OF_CLUSTER | OF_JOB | set(signature(kind.__init__).parameters))
    of_cluster = OF_CLUSTER - BOTH
    options = {key: value for key, value in site.options.items() if key not in of_cluster}
    try:
        return str(kind(scheduler, name="speclens", **options).job_script())
    except (TypeError, ValueError, OSError) as error:
        raise ConfigError(f"--cluster {site.system}, {site.named}: {error}") from error


def _refuse_unknown(site: Site, known: set[str]) -> None:
    """Refuse keys that no job knows, and a site that does not say what every job needs."""
    for key in site.options:
        if key not in known:
            close = difflib.get_close_matches(key, ["n_jobs", "wait", *known], n=1)
            meant = f"did you mean {close[0]!r}?" if close else f"known keys: {_listed(known)}"
            raise ConfigError(f"{site.named}: unknown key {key!r}; {meant}")
    of_dask = dask.config.get(f"jobqueue.{site.system}", {})
    missing = [key for key in NEEDED if site.options.get(key, of_dask.get(key)) is None]
    if missing:
        who = f"{site.named} does not say" if site.path else "give --site FILE.toml that says"
        raise ConfigError(
            f"--cluster {site.system}: {who} {' and '.join(missing)} of a job, e.g. cores = 16 and "
            'memory = "48 GB"; speclens cluster SYSTEM --site FILE.toml --show prints its script'
        )


def _listed(known: set[str]) -> str:
    return ", ".join(["n_jobs", "wait", *sorted(known)])


def started(site: Site) -> Any:
    """Start the scheduler of a site's jobs in this process, and no job yet.

    Parameters
    ----------
    site : Site
        What jobs are like.

    Returns
    -------
    dask_jobqueue.JobQueueCluster
        The scheduler.

    Raises
    ------
    ConfigError
        If dask-jobqueue refuses the options.
    """
    job_script(site)
    # Whether a job has ended is decided in `QueueJobs` alone.
    dask.config.set({"distributed.deploy.lost-worker-timeout": "365 days"})
    try:
        return getattr(dask_jobqueue, QUEUES[site.system])(**site.options)
    except (OSError, RuntimeError, ValueError) as error:
        raise ConfigError(f"--cluster {site.system}, {site.named}: {error}") from error


class QueueJobs:
    """The jobs of a queueing system, which end by their walltime and are submitted anew.

    Parameters
    ----------
    site : Site
        What they are like.
    cluster : dask_jobqueue.JobQueueCluster
        The scheduler.
    """

    def __init__(self, site: Site, cluster: Any) -> None:
        self.site, self.cluster = site, cluster
        self._met: dict[str, float] = {}

    def submit(self, present: set[str]) -> None:
        """Submit as many as are missing.

        Parameters
        ----------
        present : set of str
            Names of the workers.

        Raises
        ------
        RunError
            If no job can be submitted here, or the queue refuses it.
        """
        specs = self.cluster.worker_spec
        if self._forget_ended(present):
            self.cluster.sync(self.cluster._correct_state)
        if len(specs) >= self.site.n_jobs:
            return
        system, command = self.site.system, self.cluster.job_cls.submit_command.split()[0]
        if which(command) is None:
            raise RunError(
                f"--cluster {system}: no {command} on this machine; run it where jobs are "
                f"submitted (speclens cluster {system} --show prints the script)"
            )
        while len(specs) < self.site.n_jobs:
            specs.update(self.cluster.new_worker_spec())
        try:
            self.cluster.sync(self.cluster._correct_state)
        except (RuntimeError, ValueError, OSError) as error:
            for job in self.cluster.workers.values():
                if job.status is Status.created:
                    # Dask would not close otherwise.
                    job.status = Status.failed
            raise RunError(
                f"--cluster {system}: a job was refused; {error}\n{self.script()}"
            ) from error

    def script(self) -> str:
        """Say what is submitted.

        Returns
        -------
        str
            The script of a job.
        """
        return f"The script:\n{job_script(self.site, self.cluster.scheduler_address)}"

    def _forget_ended(self, present: set[str]) -> bool:
        """Forget the jobs whose workers are gone; tell whether there are any."""
        now, n_jobs = time.monotonic(), len(self.cluster.worker_spec)
        for name, spec in list(self.cluster.worker_spec.items()):
            if present & {name, *(f"{name}{suffix}" for suffix in spec.get("group", ()))}:
                self._met[name] = now
            elif now - self._met.get(name, now) > SECONDS_TO_RESTART:
                del self.cluster.worker_spec[name], self._met[name]
        return len(self.cluster.worker_spec) < n_jobs
