"""Calls to a Milvus: limited in time, tried again where that may help, and refused at once while it is away."""

import logging
import math
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from index.address import MilvusAddress
from model.errors import EngineAwayError, LibraryError

if TYPE_CHECKING:
    from pymilvus import MilvusClient

NOT_FOUND = 100
"""Milvus' code for a collection that is not there."""
LONG_SECONDS = 600.0
"""The time of a call that indexes, loads or counts all of a collection."""

_UNAVAILABLE = 2
_CLOSED = "closed channel"  # gRPC's words, for one that another thread has closed
_ATTEMPTS = 3
_PAUSE = 0.05
"""Seconds before a call is tried again, twice as many each time, and up to half as many more at random."""
_LONGEST_REASON = 200


class EngineRefusedError(EngineAwayError):
    """What Milvus itself answers with in place of a result: it is there, and asking again at once does not help."""


class CollectionMissingError(EngineRefusedError):
    """A collection that is not there, or not any more."""


class Circuit:
    """Opens after failures that follow one another: from then on nobody waits for what does not answer.

    After a pause one caller may try, and its success closes the circuit again. Safe to use from several threads.
    """

    FAILURES = 2
    FIRST_PAUSE = 0.5
    LONGEST_PAUSE = 4.0

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures = 0
        self._pause = 0.0
        self._until = 0.0
        self._trying = False
        self._why = ""

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Around a call, whose EngineAwayErrors count. Raises one at once while the circuit is open."""
        trying = self._enter()
        try:
            yield
        except EngineRefusedError:
            raise
        except EngineAwayError as error:
            self._failed(str(error))
            raise
        else:
            with self._lock:
                self._failures, self._pause = 0, 0.0
        finally:
            if trying:
                with self._lock:
                    self._trying = False

    def _enter(self) -> bool:
        """Whether this caller is the one that tries."""
        with self._lock:
            if self._failures < self.FAILURES:
                return False
            left = self._until - time.monotonic()
            if self._trying or left > 0:
                raise EngineAwayError(self._why, max(1, math.ceil(left)))
            self._trying = True
            return True

    def _failed(self, why: str) -> None:
        with self._lock:
            self._failures += 1
            self._why = why
            if self._failures >= self.FAILURES:
                self._pause = min(self.LONGEST_PAUSE, max(self.FIRST_PAUSE, 2 * self._pause))
                # Not all processes of a service at the same moment.
                self._until = time.monotonic() + self._pause * random.uniform(0.75, 1.25)  # noqa: S311


class MilvusConnection:
    """A connection to the Milvus at `address`, made when it is first needed. Safe to use from several threads.

    Raises LibraryError where pymilvus is not installed.
    """

    def __init__(self, address: MilvusAddress) -> None:
        _require_pymilvus()
        self.address = address
        self._circuit = Circuit()
        self._lock = threading.Lock()
        self._client: MilvusClient | None = None
        self._closed = False

    def call(
        self,
        method: str,
        /,
        *arguments: Any,
        seconds: float | None = None,
        attempts: int = _ATTEMPTS,
        **options: Any,
    ) -> Any:
        """What a method of pymilvus' client gives.

        All `attempts` together take `seconds`, by default those of the address. Raises EngineAwayError where there
        is no answer by then and where the circuit is open, EngineRefusedError for what Milvus answers with in place
        of a result.
        """
        until = time.monotonic() + (seconds or self.address.seconds)
        with self._circuit.passing():
            pause = _PAUSE
            for attempt in range(1, attempts + 1):
                try:
                    return self._asked(method, arguments, options, until)
                except EngineRefusedError:
                    raise
                except EngineAwayError:
                    pause *= random.uniform(1, 1.5)  # noqa: S311
                    if attempt == attempts or until - time.monotonic() <= pause:
                        raise
                    time.sleep(pause)
                    pause *= 2
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Close it; once more does no harm."""
        with self._lock:
            self._closed = True
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _asked(self, method: str, arguments: tuple[Any, ...], options: dict[str, Any], until: float) -> Any:
        import grpc
        from pymilvus.exceptions import MilvusException

        try:
            client = self._opened(max(0.001, until - time.monotonic()))
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError("no answer in time")
            return getattr(client, method)(*arguments, timeout=left, **options)
        except MilvusException as error:
            said = f"{self.address} refuses: {_reason(error)}"
            if error.code == NOT_FOUND:
                raise CollectionMissingError(said) from error
            if _CLOSED in str(error.message):
                self._forget()
            # Its own codes are numbers; where there is no connection, they are gRPC's, or this one.
            elif isinstance(error.code, int) and error.code != _UNAVAILABLE:
                raise EngineRefusedError(said) from error
            raise self._away(error) from error
        except (grpc.RpcError, grpc.FutureTimeoutError, OSError) as error:
            if isinstance(error, grpc.Call) and error.code() == grpc.StatusCode.UNIMPLEMENTED:
                raise EngineRefusedError(f"{self.address} does not know how to {method}") from error
            raise self._away(error) from error

    def _away(self, error: Exception) -> EngineAwayError:
        return EngineAwayError(f"{self.address} does not answer: {_reason(error)}")

    def _opened(self, seconds: float) -> "MilvusClient":
        with self._lock:
            if self._closed:
                raise EngineAwayError(f"the connection to {self.address} was closed")
            if self._client is None:
                self._client = _client(self.address, seconds)
            return self._client

    def _forget(self) -> None:
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()


def _client(address: MilvusAddress, seconds: float) -> "MilvusClient":
    from pymilvus import MilvusClient

    options: dict[str, Any] = {"token": address.token} if address.token else {}
    if address.tls:
        options["secure"] = True
        if address.ca is not None and not address.ca.is_file():
            raise LibraryError(f"{address.ca}, of which certificates are to be read, is no file")
        if address.ca is not None:
            options["server_pem_path"] = str(address.ca)
    return MilvusClient(
        address.uri,
        timeout=seconds,
        dedicated=True,  # one that is closed must not end another's
        # gRPC's own pause between two attempts to connect grows to two minutes.
        grpc_options={"grpc.max_reconnect_backoff_ms": 1000, "grpc.initial_reconnect_backoff_ms": 100},
        **options,
    )


def _require_pymilvus() -> None:
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # it writes to stderr what it also raises
    try:
        import pymilvus  # noqa: F401 -- it takes a second, and is wanted for nothing else
    except ModuleNotFoundError as error:
        if error.name != "pymilvus":
            raise
        raise LibraryError(
            "an index in a Milvus needs pymilvus; install it with: pip install 'thud[milvus]'"
        ) from error
    # It logs each error that it raises, with its traceback.
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL + 1)


def _reason(error: Exception) -> str:
    """What an error says, on one line."""
    text = getattr(error, "message", "") or str(error) or type(error).__name__
    return " ".join(str(text).split())[:_LONGEST_REASON]
