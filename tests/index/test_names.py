"""What the names of sounds say."""

import tomllib
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.library.names import read_name
from model.materials import MATERIALS, material_called, material_named, names_of_materials
from model.ucs import read_cat_id

NAMES = {material.name for material in MATERIALS}
TABLE = tomllib.loads((files("index.library") / "names.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("path", "material", "action"),
    [
        ("glass bottle 03.wav", "glass", None),
        ("plank.wav", "wood", None),
        ("Kies.wav", "gravel", None),
        ("unsorted/Glass_break-01.wav", "glass", "break"),
        ("FootstepGravel2.ogg", "gravel", "step"),
        ("Holzbrett fallen lassen.wav", "wood", "drop"),
        ("Plastiktu\u0308te knistern.wav", "plastic-bag", "crumple"),
        ("PLASTIC BAG 2.wav", "plastic-bag", None),
        ("plasticBagRustle.ogg", "plastic-bag", "crumple"),
        ("metal/plasticBagRustle.ogg", "plastic-bag", "crumple"),
        ("porte en bois, coup.wav", "wood", "hit"),
        ("golpe de azulejo.wav", "tile", "hit"),
        ("vetro che cade, caduta.wav", "glass", "drop"),
        ("take 3.wav", None, None),
        ("wood hits/take 3.wav", "wood", None),
        ("old wood/metal/take 3.wav", "metal", None),
        ("WOODImpt_Plank Drop_AB_Yard.wav", "wood", "hit"),
        ("WOODImpt_Metal Floor_AB_Glass House.wav", "wood", "hit"),
        ("GLASImpt-Hard_Bottle Clink-Big_AB_Kitchen_x.wav", "glass", "hit"),
        ("METLHit_Anvil_AB_Forge.wav", "metal", "hit"),
        ("DOORWood_Knock_AB_House.wav", "wood", "hit"),
        ("FEETHmn_Boots Gravel_AB_Plastic Studio.wav", "gravel", "step"),
        ("VOXMale_Says Wood_AB_x.wav", None, None),
        # Without who recorded it.
        ("METLHit_Pan.wav", "metal", "hit"),
        ("METLHit-Big_Pan.wav", "metal", "hit"),
        ("CERMBrk_Pile.wav", "ceramic", "break"),
        ("PLASImpt_Toy.wav", "plastic", "hit"),
        ("PAPRRip_Sheet.wav", "paper", "tear"),
        ("WATRSplsh_Big One.wav", "water", "splash"),
        ("GLASImpt_Bottle.wav", "glass", "hit"),
        ("GLASImpt_Metal Table.wav", "glass", "hit"),
        ("DOORWood_Close.wav", "wood", None),
        ("VOXMale_Says Wood.wav", None, None),
        ("XYZImpt_Wood.wav", "wood", None),
        ("METLHit_.wav", None, "hit"),
        # As programs and people write them.
        ("woodimpt_metal floor_ab_glass house.wav", "wood", "hit"),
        ("GLASIMPT_METAL TABLE.wav", "glass", "hit"),
        ("METLHit02-Vendor_Pan.wav", "metal", "hit"),
        ("glasmisc_metal table.wav", "glass", None),
        ("woodland_glass bird_ab.wav", "glass", None),
        # What only sounds like a material, or like two.
        ("glass on metal.wav", None, None),
        ("wood/glass on metal.wav", None, None),
        ("water bottle drop.wav", None, "drop"),
        ("leaf blower.wav", None, None),
        ("glass harmonica.wav", None, None),
        ("hard rock.wav", None, None),
        ("rock beat 120bpm.wav", None, None),
        ("heavy metal/take 1.wav", None, None),
        ("Music/rock/take 1.wav", None, None),
        ("drum kit/metal snare.wav", None, None),
        ("glass_desc_fr.ogg", None, None),
        ("hardwood/woodpecker.wav", "wood", None),
        ("grasshopper.wav", None, None),
        ("=1+1.wav", None, None),
        ("дерево/木.wav", None, None),
    ],
)
def test_what_a_name_says(path: str, material: str | None, action: str | None) -> None:
    named = read_name(path)
    assert (named.material, named.action) == (material, action)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_material_is_named_in_five_languages(name: str) -> None:
    called = names_of_materials()[name]
    assert set(called) == {"en", "de", "fr", "es", "it"}
    for words in called.values():
        for word in words.split(", "):
            assert material_called(word) == material_named(name), word
            assert read_name(f"a/{word} 03.wav").material == name, word


def test_every_word_of_the_table_counts() -> None:
    """None is hidden by a phrase that is ignored, or stands for two materials."""
    for name, entry in TABLE["materials"].items():
        assert material_named(name) is not None
        for words in entry["things"].values():
            for word in words.split(", "):
                assert read_name(f"{word}.wav").material == name, word
    for name, languages in TABLE["actions"].items():
        for words in languages.values():
            for word in words.split(", "):
                assert read_name(f"{word}.wav").action in (name, None), word


def test_the_categories_stand_for_materials_and_actions_of_the_table() -> None:
    categories = tomllib.loads((files("model") / "ucs.toml").read_text(encoding="utf-8"))
    assert set(categories["materials"].values()) <= NAMES
    assert set(categories["actions"].values()) <= set(TABLE["actions"])
    assert read_cat_id("CERMBrk") == ("ceramic", "break")
    assert read_cat_id("VEGELeaf") == read_cat_id("vegeleaf") == ("leaf", None)
    assert read_cat_id("VEGEMisc") == read_cat_id("") == read_cat_id("x") == (None, None)


@given(st.text())
def test_any_name_can_be_read(name: str) -> None:
    assert read_name(name).material in {None, *NAMES}
    assert material_called(name) in {None, *MATERIALS}
