"""How the service logs: lines for people or JSON for machines; requests on stdout, everything else on stderr."""

import json
import logging
import logging.config
import os
import select
import sys
from collections import deque
from collections.abc import Callable
from contextvars import Context
from datetime import UTC, datetime
from functools import cache
from threading import Condition, Thread
from time import monotonic
from typing import Any

from service.request import request_id

_MOST_BYTES = 2**20
"""Bytes of lines that wait for each stream; some ten thousand lines."""

_GATHER_SECONDS = 0.05
"""How long lines of stdout wait for others: each write wakes a thread, which takes the CPU from a picture."""

_FLUSH_SECONDS = 0.5
"""How long a process that ends waits for each stream to take its last lines."""

_PIECE_BYTES = select.PIPE_BUF
"""So many bytes a pipe takes in one piece: lines of several processes do not get mixed up in it."""

_NOTICE = "%d lines of the log are missing here: they could not be written in time"


class LineWriter:
    """Writes lines to the file `descriptor`, in their order, on a thread of its own.

    At most `most_bytes` wait. They are written `gather_seconds` after the first came, or when there are many.
    `on_lost` is called with how many lines were lost; `notice` makes the line about it.
    """

    def __init__(self, descriptor: int, most_bytes: int = _MOST_BYTES, gather_seconds: float = 0.0) -> None:
        self.on_lost: Callable[[int], None] = lambda lost: None
        self.notice: Callable[[int], str] = lambda lost: _NOTICE % lost
        self._descriptor = descriptor
        self._most_bytes = most_bytes
        self._gather_seconds = gather_seconds
        # Reentrant: an object that Python clears away may log something while its thread is in here.
        self._changed = Condition()
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._lost = 0
        self._broken = False
        self._writing = False
        self._awaited = False
        # At once: later, there may be no memory for another thread.
        Thread(target=self._write, name=f"log {descriptor}", daemon=True).start()

    def put(self, line: str) -> None:
        """Add a line, or drop it where there is no room."""
        data = _encoded(line)
        with self._changed:
            lost = self._bytes + len(data) > self._most_bytes and bool(self._lines)
            if lost:
                self._lost += 1
            else:
                self._say_lost()
                self._append(data)
        if lost:
            self.on_lost(1)

    def flush(self, seconds: float = _FLUSH_SECONDS) -> bool:
        """Wait until everything is written, for at most `seconds`; whether it is."""
        end = monotonic() + seconds
        with self._changed:
            self._awaited = True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not (self._lines or self._writing), end - monotonic())

    def _append(self, data: bytes) -> None:
        self._lines.append(data)
        self._bytes += len(data)
        if len(self._lines) == 1 or self._bytes > _PIECE_BYTES > self._bytes - len(data):
            self._changed.notify_all()

    def _say_lost(self) -> None:
        if self._lost and not self._broken:
            lost, self._lost = self._lost, 0
            self._append(_encoded(self.notice(lost)))

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines)
                self._changed.wait_for(lambda: self._awaited or self._bytes > _PIECE_BYTES, self._gather_seconds)
                piece = [self._lines.popleft()]
                size = len(piece[0])
                while self._lines and size + len(self._lines[0]) <= _PIECE_BYTES:
                    piece.append(self._lines.popleft())
                    size += len(piece[-1])
                self._writing = True
            written = _write_all(self._descriptor, b"".join(piece))
            with self._changed:
                self._writing, self._broken = False, not written
                self._bytes -= size
                if not written:
                    self._lost += len(piece)
                elif not self._lines:
                    self._awaited = False
                    self._say_lost()
                self._changed.notify_all()
            if not written:
                self.on_lost(len(piece))


class LineHandler(logging.Handler):
    """Formats records where they are logged, and hands them to the writer of a descriptor."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._writer = line_writer(descriptor)
        self._writer.notice = self._notice

    def emit(self, record: logging.LogRecord) -> None:
        """Put the record's line into the queue."""
        try:
            self._writer.put(self.format(record))
        except Exception:  # as every handler of the standard library: what cannot be formatted stops nobody
            self.handleError(record)

    def flush(self) -> None:
        """Wait a moment for what is in the queue."""
        self._writer.flush()

    def _notice(self, lost: int) -> str:
        record = logging.LogRecord("thud", logging.WARNING, __file__, 0, _NOTICE, (lost,), None)
        return Context().run(self.format, record)  # it is about no request


@cache
def line_writer(descriptor: int) -> LineWriter:
    """The one of this process for its stdout (1) or stderr (2)."""
    closed = (sys.__stdout__ if descriptor == 1 else sys.__stderr__) is None
    # The number of one that was closed at the start may be that of any file by now.
    gather_seconds = _GATHER_SECONDS if descriptor == 1 else 0.0
    return LineWriter(os.open(os.devnull, os.O_WRONLY) if closed else descriptor, gather_seconds=gather_seconds)


def _encoded(line: str) -> bytes:
    return (line + "\n").encode(errors="backslashreplace")


def _write_all(descriptor: int, data: bytes) -> bool:
    """Write all of it, however long that takes; False where nobody can read it any more, or the disk is full."""
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:  # whoever shares the pipe with us has made it so
            select.select([], [descriptor], [])
        except OSError:
            return False
    return True


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, the request's id, and what the record adds."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        fields = getattr(record, "fields", None)
        if fields is None:
            entry |= {"message": record.getMessage(), "request_id": request_id()}
        else:
            entry |= fields
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """A line for people, with the request's id where it is about one."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text."""
        identity = request_id()
        record.about = f" [{identity}]" if identity else ""
        return super().format(record)


def start_logging(*, as_json: bool) -> None:
    """Log as configured from here on, Python's own warnings too."""
    logging.config.dictConfig(log_config(as_json=as_json))
    logging.captureWarnings(True)


def log_config(*, as_json: bool) -> dict[str, Any]:
    """The configuration for `logging.config.dictConfig`."""
    json_formatter = {"()": JsonFormatter}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "plain": json_formatter
            if as_json
            else {"()": TextFormatter, "fmt": "%(levelname)s:%(about)s %(message)s"},
            "access": json_formatter if as_json else {"format": "%(asctime)s %(message)s"},
        },
        "handlers": {
            "stderr": {"()": LineHandler, "formatter": "plain", "descriptor": 2},
            "stdout": {"()": LineHandler, "formatter": "access", "descriptor": 1},
        },
        # What libraries warn of, asyncio above all, would else be written by whoever warns.
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {
            "uvicorn.error": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
            # It warns of every broken form, which the client hears of already.
            "python_multipart": {"level": "ERROR"},
            "thud": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
            "thud.access": {"handlers": ["stdout"], "level": "INFO", "propagate": False},
        },
    }
