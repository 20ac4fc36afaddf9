"""What a request may be, as values that the settings fill in."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FormLimits:
    """What a multipart form may have: parts, headers in a part, bytes in a header of a part."""

    max_parts: int = 16
    max_part_headers: int = 8
    max_part_header_bytes: int = 4096
