"""Names of the Universal Category System, as sound libraries have them: CatID-Vendor_FXName_CreatorID_SourceID_...

ucs.toml lists what CatIDs stand for.
"""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

# Programs and people write CatIDs in other case, and number takes behind them.
_NAME = re.compile(r"([A-Za-z]{3,10})[0-9]*(?:-[^_]*)?_([^_]+)(_|$)")
_CAT_ID = re.compile(r"[A-Z]{2,5}[A-Z][a-z]{1,5}")


@dataclass(frozen=True, slots=True)
class UcsName:
    """CatID, such as `GLASImpt`, and FXName, such as `Bottle Clink`, of a file's name."""

    cat_id: str
    fx_name: str


def ucs_name(stem: str) -> UcsName | None:
    """What the name of a file without its ending says, None for a name of another kind.

    `GLASImpt-Hard_Bottle Clink_AB_Kitchen` is such a name. Without a third part, or in other case, it is one only
    where ucs.toml knows the CatID: `USTour_Take` and `woodland_birds` may be none.
    """
    found = _NAME.match(stem)
    if found is None:
        return None
    cat_id = _known().get(found[1].lower())
    if cat_id is None and _CAT_ID.fullmatch(found[1]) and (found[3] or _stands_for_something(found[1])):
        cat_id = found[1]
    return None if cat_id is None else UcsName(cat_id, found[2])


def read_cat_id(cat_id: str) -> tuple[str | None, str | None]:
    """The material and the action that a CatID stands for."""
    table = _table()
    cat_id = _known().get(cat_id.lower(), cat_id)
    category, sub = _categories(cat_id)
    return table["materials"].get(cat_id) or table["materials"].get(category), table["actions"].get(sub)


def is_other(cat_id: str) -> bool:
    """Whether a CatID is of music, voices and the like, in which words name no material."""
    return _categories(cat_id)[0] in _table()["others"]


def _stands_for_something(cat_id: str) -> bool:
    return read_cat_id(cat_id)[0] is not None or is_other(cat_id)


def _categories(cat_id: str) -> tuple[str, str]:
    """Category and subcategory: `GLASImpt` is `GLAS` and `Impt`."""
    at = next((at for at, sign in enumerate(cat_id) if sign.islower()), len(cat_id) + 1) - 1
    return cat_id[:at], cat_id[at:]


@cache
def _known() -> dict[str, str]:
    """CatIDs that stand for something, by how they are written in lower case."""
    table = _table()
    whole = [name for name in table["materials"] if not name.isupper()]
    categories = [name for name in (*table["materials"], *table["others"]) if name.isupper()]
    subs = [*table["actions"], *table["subs"]]
    return {name.lower(): name for name in (*whole, *(one + sub for one in categories for sub in subs))}


@cache
def _table() -> Any:
    return tomllib.loads((files("model") / "ucs.toml").read_text(encoding="utf-8"))
