"""The paper's Table 1, and the spellings of its names."""

from model.materials import MATERIALS, material_named


def test_ids_are_the_papers() -> None:
    table_1 = {"plastic": 0, "leaf": 4, "water": 7, "plastic-bag": 12, "dirt": 13, "wood": 15, "carpet": 16}
    assert len(MATERIALS) == 17
    for name, id_ in table_1.items():
        assert MATERIALS[id_] == (id_, name)
    for spelling in ("plastic-bag", "Plastic Bag", " plastic_bag "):
        assert material_named(spelling) == MATERIALS[12]
    assert material_named("leather") is None
