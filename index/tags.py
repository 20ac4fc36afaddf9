"""The tags inside a sound's file."""

from pathlib import Path


def read_tags(path: Path) -> dict[str, str]:
    """Tags by name: title, description, tags, action, author, licence, attribution, source, origin."""
    return {}
