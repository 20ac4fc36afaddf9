"""The fields of what people write about a picture or a sound, and the names that tables and tags have for them."""

import re
import unicodedata
from functools import lru_cache

_NAMES = {
    "path": "path, file, filename, file_name, filepath, file_path, datei, dateiname, pfad, fichier, chemin, "
    "archivo, ruta, percorso",
    "material": "material, materials, materiau, materiaux, materiale, materiales, werkstoff",
    "kind": "kind",
    "title": "title, track_title, name, fxname, fx_name, titel, titre, titulo, titolo",
    "description": "description, desc, comment, comments, caption, beschreibung, descripcion, descrizione",
    "tags": "tags, tag, keywords, keyword, stichworte, schlagworte, schlagwoerter, mots_cles, etiquetas",
    "action": "action, aktion, accion, azione",
    "author": "author, creator, artist, recordist, designer, username, user, originator, autor, auteur, autore",
    "licence": "licence, license, licensing, lizenz, licencia, licenza, usage_terms",
    "attribution": "attribution, credit, credits, credit_line, copyright, namensnennung",
    "origin": "origin, url, link, href, source_url, origin_url, page, permalink, website, uri",
    "source": "source, library, collection, dataset, pack, album, quelle, bibliothek",
    "catid": "catid, cat_id, ucs",
    "open_licence": "open_licence, open_license",
    "note": "note, notes",
    "split": "split",
    "group": "group",
    "pair": "pair",
    "time": "time",
}
_FIELDS = {name: (field, rank) for field, names in _NAMES.items() for rank, name in enumerate(names.split(", "))}
FIELDS = frozenset(_NAMES)


def fields_of(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names of a table's columns, each as the field that it means; others stay as they are.

    Case, accents and what separates words do not matter. Where several columns mean one field, the one whose name
    is nearest to the field's has it: of `path` and `file`, `path` is the path. Two that are both named after one
    field stay two, which a reader may refuse.
    """
    found = [_FIELDS.get(plain_name(name)) for name in names]
    best: dict[str, int] = {}
    for one in found:
        if one is not None:
            best[one[0]] = min(best.get(one[0], one[1]), one[1])
    return tuple(
        one[0] if one is not None and best[one[0]] == one[1] else name
        for name, one in zip(names, found, strict=True)
    )


@lru_cache(2**12)
def field_named(name: str) -> str | None:
    """The field that a name means, None for another name."""
    found = _FIELDS.get(plain_name(name))
    return None if found is None else found[0]


def plain_name(name: str) -> str:
    """A name in lower case, without accents, its words separated by one underscore."""
    decomposed = unicodedata.normalize("NFKD", name)
    return (
        re.sub(r"[\W_]+", "_", "".join(one for one in decomposed if not unicodedata.combining(one)))
        .strip("_")
        .lower()
    )
