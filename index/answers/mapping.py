"""From what is seen at each place of a picture to its map: the sounds of each place, each sound once."""

from collections.abc import Sequence

from index.answers.matches import Match, Matches
from index.answers.picture_map import MOST_MATERIALS, MapSound, PictureMap, Place, material_shares
from index.answers.places import Places
from index.answers.recommendation import MaterialName, PictureMaterial, sound_url
from index.answers.search import SoundIndex
from index.answers.seen import Seen
from model.materials import MATERIALS


def picture_map(
    model: str, index: SoundIndex, places: Places, alike: Sequence[Sequence[int]], matches: Sequence[Matches]
) -> PictureMap:
    """The map of a picture by the bundle with the id `model`: its `places`, and the `matches` of those `alike`."""
    numbers: dict[str, int] = {}
    sounds: list[MapSound] = []
    of_place: dict[int, list[int]] = {}
    for its, found in zip(alike, matches, strict=True):
        for match in found:
            if match.record.id not in numbers:
                numbers[match.record.id] = len(sounds)
                sounds.append(_sound(match))
        of_place |= {place: [numbers[match.record.id] for match in found] for place in its}
    answered = [
        Place(round(x, 6), round(y, 6), seen.recognised, _likeliest(seen), of_place[number])
        for number, ((x, y), seen) in enumerate(zip(places.centres, places.seen, strict=True))
    ]
    return PictureMap(
        model=model,
        index=index.id,
        library=len(index),
        columns=places.columns,
        rows=places.rows,
        size=round(places.size, 6),
        materials=None if any(place.materials is None for place in answered) else material_shares(answered),
        places=answered,
        sounds=sounds,
    )


def _likeliest(seen: Seen) -> list[PictureMaterial] | None:
    if seen.materials is None:
        return None
    shown = [PictureMaterial(one.id, one.name, float(seen.materials[one.id])) for one in MATERIALS]
    return sorted(shown, key=lambda one: -one.probability)[:MOST_MATERIALS]


def _sound(match: Match) -> MapSound:
    record = match.record
    return MapSound(
        id=record.id,
        url=sound_url(record.id),
        material=MaterialName.of(record.material),
        duration=record.seconds,
        hit=match.hit,
        span=match.span,
        loudness=record.loudness,
        title=record.title,
        author=record.author,
        licence=record.licence,
        path=record.path,
    )
