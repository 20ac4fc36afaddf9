"""What people wrote about a sound: in a manifest, beside its file, in the file, in its name and its folders'."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import get_args

from index.library.finding import LabelFrom, LibrarySound
from index.library.licences import licence_called
from index.library.names import action_in, materials_in, read_name
from index.library.texts import clean, cleaned, tags_in
from model.materials import material_called
from model.ucs import read_cat_id, ucs_name

_MOST_TAGS = 64
_SPACES = str.maketrans("_-", "  ")


@dataclass(frozen=True)
class Facts:
    """None or empty where nothing is known.

    `material` is one of the 17 names, and `label_from` says where it was read. `action` is how the sound was made,
    such as hit or scratch. `source` is the site or dataset that it comes from, `origin` its address or name there.
    `licence` is as `licence_called` gives it.
    """

    title: str
    description: str | None = None
    tags: tuple[str, ...] = ()
    material: str | None = None
    label_from: LabelFrom | None = None
    action: str | None = None
    source: str | None = None
    origin: str | None = None
    author: str | None = None
    licence: str | None = None
    attribution: str | None = None


def facts_of(sound: LibrarySound, tags: Mapping[str, str]) -> Facts:
    """What is known of a sound, with the `tags` of its file as `read_tags` gives them.

    A field is what the manifest says, or else the file beside the sound, or else its tags; the tags of all three
    are put together. The label is the sound's own, or else what the file beside it or its tags say, or else what
    its name says. Texts are of one line, each cut to its length.
    """
    said = [cleaned(one) for one in (sound.columns, sound.sidecar) if one]
    if tags:
        said.append(dict(tags))
    named = read_name(sound.path)
    material, label_from = sound.material, sound.label_from
    if label_from is None:
        material = next((found for one in said if (found := _material_said(one))), None)
        label_from = "tag" if material else "name"
        material = material or named.material
    first: dict[str, str] = {}
    for one in reversed(said):
        first.update(one)
    return Facts(
        title=first.get("title") or _title(sound.path),
        description=first.get("description"),
        tags=_together(said),
        material=material,
        label_from=label_from if material else None,
        action=_action(first) or named.action,
        source=first.get("source"),
        origin=first.get("origin"),
        author=first.get("author"),
        licence=licence_called(first["licence"]) if "licence" in first else None,
        attribution=first.get("attribution"),
    )


def labels_note(counts: Mapping[str | None, int]) -> str:
    """Where the labels of an index were read, in a line for a person, from how often each place did."""
    listed = ", ".join(f"{place} {counts[place]}" for place in get_args(LabelFrom) if counts.get(place))
    return f"labels: {listed or 'none'}"


def _material_said(fields: Mapping[str, str]) -> str | None:
    """The material that tags name: in its field, by a category, or by words of the first field that has any."""
    if (own := fields.get("material")) and (called := material_called(own)):
        return called.name
    if (cat_id := fields.get("catid")) and (material := read_cat_id(cat_id)[0]):
        return material
    if "music" in fields:
        return None
    for name in ("title", "tags", "description"):
        if (text := fields.get(name)) and (found := materials_in(text)):
            return found.pop() if len(found) == 1 else None
    return None


def _action(fields: Mapping[str, str]) -> str | None:
    """The action in its field, by its name in names.toml where it has one, or else by the category or words."""
    if own := fields.get("action"):
        return action_in(own) or own.lower()
    if (cat_id := fields.get("catid")) and (action := read_cat_id(cat_id)[1]):
        return action
    texts = (fields[name] for name in ("title", "tags") if name in fields)
    return next((action for text in texts if (action := action_in(text))), None)


def _together(said: Iterable[Mapping[str, str]]) -> tuple[str, ...]:
    tags = [tag for one in said if "tags" in one for tag in tags_in(one["tags"])]
    return tuple(dict.fromkeys(tags))[:_MOST_TAGS] if tags else ()


def _title(path: str) -> str:
    name = path.rpartition("/")[2]
    stem = name.rpartition(".")[0] or name
    if ucs := ucs_name(stem):
        stem = ucs.fx_name
    return clean(" ".join(stem.translate(_SPACES).split())) or clean(stem) or "untitled"
