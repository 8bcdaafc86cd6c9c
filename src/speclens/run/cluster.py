"""The processes of a Dask cluster, as those of this machine: `map_shards` gives them its items.

In: the address of a running scheduler, or a queueing system and a TOML file of the site. Out: the
results of items, in their order. An item is one task, which may be done twice: what it leaves on
the file system that all share is complete or absent, and little comes back. An item whose process
is killed again and again is tried once more when all others are done, and then lost alone.

Nothing else but `speclens.run.queue_jobs` imports Dask. What comes from a worker is unpickled, and
a worker runs what a scheduler sends: both are trusted, as Dask does; its configuration turns on
TLS.
"""

from __future__ import annotations

import os
import pickle
import queue
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar
from uuid import uuid4

import dask
from distributed import Client, Future
from distributed.scheduler import KilledWorker

from speclens.errors import RunError
from speclens.products import one_line
from speclens.run.job import Answer, Job, Rescue, WorkerDiedError, retried
from speclens.run.queue_jobs import QueueJobs, started
from speclens.run.remote import UnfitWorkerError, answer, await_sight, versions
from speclens.run.site import Site

__all__ = ["Cluster", "connected"]

Item = TypeVar("Item")
Result = TypeVar("Result")

SECONDS_TO_CONNECT = 10.0
SECONDS_TO_WAIT = 60.0
"""For the first worker of a scheduler that is running, and for one that comes after the last."""
SECONDS_BETWEEN_LOOKS = 5.0
ADVICE = "what is done is kept: run the same command again"


class Cluster:
    """The workers of a Dask scheduler.

    Parameters
    ----------
    client : distributed.Client
        The connection.
    tell : callable
        Takes one line where the user should know.
    jobs : QueueJobs, optional
        What brings the workers.
    """

    def __init__(
        self, client: Client, tell: Callable[[str], None], jobs: QueueJobs | None = None
    ) -> None:
        self._client, self._tell, self._jobs = client, tell, jobs
        self._wait = jobs.site.wait if jobs else SECONDS_TO_WAIT
        self._met = time.monotonic()

    @property
    def address(self) -> str:
        """Where other runs find the scheduler."""
        return str(self._client.scheduler_info()["address"])

    @property
    def n_processes(self) -> int:
        """Number of processes, as far as is known; at least 2, so that work is shared out."""
        if self._jobs is not None:
            return max(2, self._jobs.site.n_processes)
        return max(2, len(self._client.scheduler_info()["workers"]))

    def results(
        self, job: Job[Any, Item, Result], items: Sequence[Item], rescue: Rescue[Item, Result]
    ) -> Iterator[Result]:
        """Work on items.

        Parameters
        ----------
        job : Job
            The job.
        items : sequence
            The items.
        rescue : callable
            Makes the result of an item that killed its process, alone too.

        Yields
        ------
        object
            Results, in the order of the items.

        Raises
        ------
        RunError
            If there is no worker, or a worker of another version, or the scheduler is gone.
        """
        self.await_workers()
        tasks = _Tasks(self._client, job, self.look)
        try:
            yield from tasks.in_order(items, rescue)
        finally:
            tasks.cancel()

    def await_workers(self) -> None:
        """Wait for the first worker.

        Raises
        ------
        RunError
            If none comes.
        """
        self._met = time.monotonic()
        if self.look():
            return
        self._tell(f"waiting for workers of {self.address}, up to {self._wait:.0f} s")
        while not self.look():
            time.sleep(min(0.2, SECONDS_BETWEEN_LOOKS))

    def look(self) -> bool:
        """See to the workers.

        Returns
        -------
        bool
            True when there are any.

        Raises
        ------
        RunError
            If there has been none for too long, or the scheduler is gone.
        """
        workers = self._client.scheduler_info().get("workers", {}).values()
        if self._client.status != "running":
            raise _lost(self._client)
        if self._jobs is not None:
            self._jobs.submit({str(worker["name"]) for worker in workers})
        now = time.monotonic()
        if any(worker["status"] == "running" for worker in workers):
            self._met = now
            return True
        if now - self._met > self._wait:
            script = f"\n{self._jobs.script()}" if self._jobs else ""
            raise RunError(
                f"{self.address}: no worker came in {self._wait:.0f} s; {ADVICE} when there are "
                f"some{script}"
            )
        return False


@contextmanager
def connected(
    to: str, site: Path | None = None, tell: Callable[[str], None] = print
) -> Iterator[Cluster]:
    """Connect to a cluster.

    Parameters
    ----------
    to : str
        The address of a scheduler, or one of `QUEUES`, whose jobs are submitted when there is work.
    site : Path, optional
        The file of the site.
    tell : callable, optional
        Takes one line where the user should know.

    Yields
    ------
    Cluster
        Its workers; jobs end with the block.

    Raises
    ------
    RunError
        If there is no scheduler.
    ConfigError
        If `to` is none of these, or the file is wrong.
    """
    with ExitStack() as stack:
        jobs = None
        if site is not None or ":" not in to:
            asked = Site.read(to, site)
            jobs = QueueJobs(asked, stack.enter_context(closing(started(asked))))
        try:
            client = Client(
                jobs.cluster if jobs else to, timeout=SECONDS_TO_CONNECT, set_as_default=False
            )
        except (OSError, ValueError) as error:
            raise RunError(f"--cluster {to}: no scheduler answers ({error})") from error
        yield Cluster(stack.enter_context(closing(client)), tell, jobs)


class _Tasks(Generic[Item, Result]):
    """The items of one job, as tasks of a scheduler."""

    def __init__(
        self, client: Client, job: Job[Any, Item, Result], look: Callable[[], bool]
    ) -> None:
        self._client, self._look = client, look
        self._job = pickle.dumps(job)
        self._work = partial(answer, name=uuid4().hex, folder=os.getcwd(), wanted=versions())
        self._futures: set[Future[bytes]] = set()
        self._due = 0.0

    def in_order(self, items: Sequence[Item], rescue: Rescue[Item, Result]) -> Iterator[Result]:
        """Yield the results; suspects are tried when all others are done."""
        ended: queue.SimpleQueue[tuple[int, Future[bytes]]] = queue.SimpleQueue()
        for place, future in enumerate(self._submit(items)):
            future.add_done_callback(lambda done, place=place: ended.put((place, done)))
        answers: dict[int, Answer] = {}
        suspects: list[int] = []
        for place in range(len(items)):
            while place not in answers:
                if self._futures:
                    done, found = self._next(ended)
                    if found is None:
                        suspects.append(done)
                    else:
                        answers[done] = found
                else:
                    for suspect in suspects:
                        item = items[suspect]
                        answers[suspect] = Answer.of(retried, item, rescue, self._alone)
            yield answers.pop(place).result()

    def cancel(self) -> None:
        """Let the scheduler forget what is not done."""
        if self._futures and self._client.status == "running":
            self._client.cancel(list(self._futures))
        self._futures.clear()

    def _submit(self, items: Sequence[Item]) -> list[Future[bytes]]:
        # Dask warns of what is large, and advises what is done here: it is sent once to a worker.
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TB"}):
            job = self._client.submit(bytes, self._job, pure=False)
            packed = [pickle.dumps(item) for item in items]
            futures = self._client.map(self._work, packed, job=job, pure=False)
        self._futures.update(futures)
        return futures

    def _next(
        self, ended: queue.SimpleQueue[tuple[int, Future[bytes]]]
    ) -> tuple[int, Answer | None]:
        while True:
            # Also where results come all the time: jobs that ended must come anew.
            if time.monotonic() > self._due:
                self._look()
                self._due = time.monotonic() + SECONDS_BETWEEN_LOOKS
            with suppress(queue.Empty):
                place, future = ended.get(timeout=SECONDS_BETWEEN_LOOKS)
                return place, self._answer_of(future)

    def _alone(self, item: Item) -> Result:
        [future] = self._submit([item])
        found = self._answer_of(future)
        if found is None:
            raise WorkerDiedError
        result: Result = found.result()
        return result

    def _answer_of(self, future: Future[bytes]) -> Answer | None:
        """Wait for what came of a task; None when it killed its workers."""
        content = self._content_of(future)
        self._futures.discard(future)
        if content is None:
            return None
        found: Answer = pickle.loads(content)  # noqa: S301 - from a worker, see above
        if isinstance(found.error, UnfitWorkerError):
            raise found.error
        told = found.value if isinstance(found.value, list) else [found.value]
        for path in (getattr(one, "path", None) for one in told):
            if isinstance(path, Path) and path.name:
                await_sight(path)
        return found

    def _content_of(self, future: Future[bytes]) -> bytes | None:
        while True:
            try:
                content: bytes = future.result(timeout=SECONDS_BETWEEN_LOOKS)
                return content
            except TimeoutError:
                self._look()
            except KilledWorker:
                return None
            except (CancelledError, OSError) as error:
                raise _lost(self._client) from error
            except Exception as error:
                said = one_line(error.__cause__ or error)
                raise UnfitWorkerError(
                    f"the scheduler or a worker cannot take the work ({said}); are the same "
                    "versions of speclens and Dask installed there?"
                ) from error


def _lost(client: Client) -> RunError:
    return RunError(f"lost the scheduler ({client.status}); {ADVICE}")
