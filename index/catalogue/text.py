"""Text search: a person's words as a query of FTS5."""

from model.errors import FilterError

MOST_WORDS = 32

# How much a word counts by where it stands: title, tags, path, material, description.
RANK = "bm25(words, 8.0, 6.0, 2.0, 4.0, 1.0)"
"""The smaller, the better a sound fits (FTS5's sign), as SQL."""


def query_of(text: str) -> str | None:
    """The FTS5 query for sounds that have every word of `text`, each at least as the beginning of a word.

    Words that punctuation joins must stand side by side. Nothing in `text` is FTS5's syntax. None where `text` has
    no word. Raises FilterError for more than 32 words.
    """
    readable = text.replace("\0", " ").encode("utf-8", "replace").decode()
    words = [word for word in readable.split() if any(sign.isalnum() for sign in word)]
    if len(words) > MOST_WORDS:
        raise FilterError(f"the text has {len(words)} words; at most {MOST_WORDS} can be looked for", "q")
    quoted = (f'"{word.replace(chr(34), chr(34) * 2)}" *' for word in words)
    return " ".join(quoted) or None
