"""Text search: a person's words as a query of FTS5."""

from model.errors import FilterError

MOST_WORDS = 32

# What a sound gains by where all the words stand.
_WHOLE_WORDS = 32
_FIELDS = {"title": 16, "tags": 8, "material": 4, "path": 2, "description": 1}


def queries_of(text: str) -> list[tuple[str, int]]:
    """FTS5 queries, and what each adds to the value of the sounds that it finds.

    The first finds those that have every word of `text`, each at least as the beginning of a word, and adds
    nothing; the others find some of these. So a value depends on nothing but the sound: it is the same in every
    index, as that of bm25 is not. Words that punctuation joins must stand side by side. Nothing in `text` is FTS5's
    syntax. No query where `text` has no word. Raises FilterError for more than 32 words.
    """
    readable = text.replace("\0", " ").encode("utf-8", "replace").decode()
    words = [word for word in readable.split() if any(sign.isalnum() for sign in word)]
    if len(words) > MOST_WORDS:
        raise FilterError(f"the text has {len(words)} words; at most {MOST_WORDS} can be looked for", "q")
    if not words:
        return []
    quoted = [f'"{word.replace(chr(34), chr(34) * 2)}"' for word in words]
    begun = " ".join(f"{word} *" for word in quoted)
    return [
        (begun, 0),
        (" ".join(quoted), _WHOLE_WORDS),
        *((f"{field} : ({begun})", gain) for field, gain in _FIELDS.items()),
    ]
