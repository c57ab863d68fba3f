"""Workers: processes of this machine, or those of a Dask cluster."""

import logging
import re
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, Protocol, Self

from parity.errors import UsageError
from parity.extras import missing
from parity.sweep.database import Row
from parity.sweep.work import Job, Stock


class Workers(Protocol):
    """What does jobs."""

    def slots(self) -> int:
        """Return how many jobs to submit at the same time."""
        ...

    def submit(self, job: Job) -> Future[list[Row]]:
        """Submit a job."""
        ...

    def lack(self) -> str | None:
        """Return why no job can be done now, None if jobs can be done."""
        ...


class LocalWorkers:
    """Processes of this machine; a context manager.

    Args:
        count: how many may work at the same time.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._stock = Stock()
        self._threads = ThreadPoolExecutor(count)

    def slots(self) -> int:
        """Return one more than there are workers: none waits while results are written."""
        return self._count + 1

    def submit(self, job: Job) -> Future[list[Row]]:
        """Submit a job to the first process that is free."""
        return self._threads.submit(self._stock.work, job)

    def lack(self) -> str | None:
        """Return None: local processes can always work, and one that dies is noticed."""
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *raised: object) -> None:
        if kind is None:
            self._stock.close()
        else:
            self._stock.kill()
        self._threads.shutdown(cancel_futures=True)


IDLE_S = 30.0
"""Seconds for which a cluster's worker keeps a process that has nothing to do."""

CONNECT_S = 5.0

_stock = Stock(IDLE_S)


def work(job: Job) -> list[Row]:
    """Do a job in a process below this one: a worker of a Dask cluster."""
    from multiprocessing import current_process

    # Nannies start workers as daemons, which may have no children. Ours end with their parent.
    current_process().daemon = False
    return _stock.work(job)


def require_address(address: str) -> None:
    """Raise `UsageError` if a text is no address of a scheduler."""
    found = re.fullmatch(r"(?:tcp|tls|ucx|wss?)://[^\s/]+:(\d{1,5})", address, re.ASCII)
    if found is None or not 0 < int(found[1]) < 2**16:
        raise UsageError(f"--scheduler {address!r} is no address: give one as tcp://HOST:PORT")


class DaskWorkers:
    """The workers of a Dask cluster, whose scheduler gives a job to another where one dies.

    A context manager.

    Args:
        address: the scheduler's, such as "tcp://192.168.0.2:8786".

    Raises:
        UsageError: Dask is not installed, or there is no scheduler at the address.
    """

    def __init__(self, address: str) -> None:
        try:
            import distributed
        except ModuleNotFoundError as error:
            raise UsageError(missing(error, "--scheduler")) from error
        # What goes wrong is reported here, once and without tracebacks.
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        connect: Any = distributed.Client  # of incomplete types
        self._address = address
        try:
            self._client = connect(address, timeout=CONNECT_S, set_as_default=False)
        except Exception as error:  # of a host's name, of TLS, of the network
            raise UsageError(
                f"there is no Dask scheduler at {address} ({error}): start one with `dask "
                "scheduler`, and give the address that it prints"
            ) from error
        self._executor: Executor = self._client.get_executor(pure=False)

    def slots(self) -> int:
        """Return twice the cluster's threads: jobs wait where they will be done."""
        try:
            threads: dict[str, int] = self._client.nthreads()
        except (OSError, AttributeError) as error:  # the latter if the client has closed itself
            raise UsageError(
                f"the Dask scheduler at {self._address} is gone ({error}): what was finished is "
                "kept; start the sweep again when it is back, or without --scheduler"
            ) from error
        return 2 * sum(threads.values())

    def submit(self, job: Job) -> Future[list[Row]]:
        """Submit a job to the cluster."""
        return self._executor.submit(work, job)

    def lack(self) -> str | None:
        """Return that there are no workers, None if there are some."""
        if self.slots():
            return None
        return f"there are no workers at {self._address}: start some with `dask worker`"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *raised: object) -> None:
        if self._client.status == "running":  # else there is nobody to tell
            self._executor.shutdown(wait=False)
        self._client.close()
