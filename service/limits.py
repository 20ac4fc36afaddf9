"""What a request may be, as values that the settings fill in."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FormLimits:
    """What a multipart form may have: parts, headers in a part, bytes in a header of a part."""

    max_parts: int = 16
    max_part_headers: int = 8
    max_part_header_bytes: int = 4096


@dataclass(frozen=True)
class ConnectionLimits:
    """What a connection may send, and how long it may take.

    Sizes are in bytes and times in seconds: `header_seconds` for a request's address and headers, `send_seconds`
    without taking anything of the answer. Of a body that is refused, `linger_bytes` are thrown away within
    `linger_seconds`, so that the client gets to read why.
    """

    max_connections: int = 1000
    max_url_bytes: int = 8192
    max_header_bytes: int = 32_768
    header_seconds: float = 10.0
    send_seconds: float = 30.0
    linger_bytes: int = 64 * 2**20
    linger_seconds: float = 10.0
