"""How the service logs: lines for people or JSON for machines; requests on stdout, everything else on stderr."""

import json
import logging
import logging.config
from datetime import UTC, datetime
from typing import Any

from service.log_queue import LineHandler
from service.request_id import request_id


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, the request's id, and what the record adds."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        said: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        fields = getattr(record, "fields", None)
        if fields is None:
            said |= {"message": record.getMessage(), "request_id": request_id()}
        else:
            said |= fields
        if record.exc_info:
            said["traceback"] = self.formatException(record.exc_info)
        return json.dumps(said, ensure_ascii=False)


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
