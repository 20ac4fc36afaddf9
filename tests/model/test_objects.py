"""Which objects the names of sounds name."""

from pathlib import PurePosixPath

import pytest

from model.materials import MATERIALS
from model.objects import imagenet_classes, objects_named


@pytest.mark.parametrize(
    "path",
    [
        "bottle clink 02.wav", "BottleClink02.wav", "glass-bottle.flac", "BOTTLE_CLINK.WAV",
        "kitchen/bottles/3.ogg",
        "botella.wav", "Botellas 1.mp3", "Flaschen/01.wav", "Bouteille_verre.wav", "bottiglie.wav",
        "GLASImpt_BottleClink_Bell_KitchenDoors.wav", "GLASImpt-Hard_BottleClink-Big_Bell_Doors_x.wav",
        "glasimpt_bottle clink_bell_kitchen doors.wav", "GLASImpt02-Doors_Bottle.wav", "METLHit-Table_Bottle.wav",
    ],
)  # fmt: skip
def test_a_bottle_is_named_in_many_ways(path: str) -> None:
    assert objects_named(path) == ("bottle",)


@pytest.mark.parametrize(
    ("path", "objects"),
    [
        ("Tür 2.wav", ("door",)),
        ("tuer_zu.wav", ("door",)),
        ("Tu\u0308ren/1.wav", ("door",)),
        ("DOORWood_Knock Hard_AB_Bottles.wav", ("door",)),
        ("FUSSMATTE.wav", ("doormat",)),
        ("fußmatte.wav", ("doormat",)),
        ("verres à vin/1.wav", ("drinking glass",)),
        ("coeur de table.wav", ("table",)),
        ("cajón de madera.wav", ("crate",)),
        ("cajones.wav", ("drawer",)),
        ("vaso.wav", ("drinking glass", "vase")),
        ("bottle on table.wav", ("bottle", "table")),
    ],
)
def test_accents_languages_and_plurals(path: str, objects: tuple[str, ...]) -> None:
    assert objects_named(path) == objects


@pytest.mark.parametrize(
    "path",
    ["cow herd.wav", "Main Bus 02.wav", "Pan_L.wav", "plate reverb.wav", "phone recording 3.wav",
     "finger nail tap.wav", "chest voice.wav", "tree trunk.wav", "Gun Metal/01.wav"],
)  # fmt: skip
def test_words_that_mean_something_else_name_no_object(path: str) -> None:
    assert objects_named(path) == ()


def test_only_whole_words_count_and_the_longest_phrase() -> None:
    assert "cup" not in objects_named("cupboard.wav")
    assert objects_named("doorbellish scuppers.wav") == ()
    assert objects_named("bottle opener.wav") == ("opener",)
    assert objects_named("pool table.wav") == ("pool table",)
    assert objects_named("hi-hat closed.wav") == ()


def test_a_material_is_no_object() -> None:
    words = "glas verre vidrio vetro holz bois madera legno metall papier papel carta stone tapis teppich acqua"
    for word in [*(material.name for material in MATERIALS if material.name != "plastic-bag"), *words.split()]:
        assert objects_named(f"{word}_hit_03.wav") == (), word
    for material in MATERIALS:
        assert objects_named(f"{material.name}/01.wav") == ()
    assert objects_named("Plastic Bag/01.wav") == ()
    assert objects_named("glass/wine glass.wav") == ("drinking glass",)
    assert objects_named("sounds/plastic bag crumple.wav") == ("plastic bag",)


def test_tags_name_objects_too_and_empty_names_none() -> None:
    assert objects_named("a/0001.wav", "", "knock; door, hard") == ("door",)
    assert objects_named("") == objects_named("0001.wav") == objects_named("日本語.wav") == ()


def test_each_object_of_the_table_has_a_name_that_names_it_and_classes_that_show_it() -> None:
    classes = imagenet_classes()
    assert len(classes) >= 150
    for name, shown_by in classes.items():
        assert len(shown_by) == len(set(shown_by)) > 0
        said = "locomotive" if name == "train" else name  # folders of data are called train
        assert name in objects_named(str(PurePosixPath("x", f"{said} 01.wav"))), name
