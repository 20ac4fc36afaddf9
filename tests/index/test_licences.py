"""The names of licences."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.library.facts import facts_of
from index.library.finding import LibrarySound
from index.library.licences import licence_called


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("cc0", "CC0-1.0"),
        ("CC0", "CC0-1.0"),
        ("CC0 1.0", "CC0-1.0"),
        ("CC0-1.0", "CC0-1.0"),
        ("CC-0", "CC0-1.0"),
        ("CC0 1.0 Universal", "CC0-1.0"),
        ("Creative Commons 0", "CC0-1.0"),
        ("Creative Commons Zero v1.0 Universal", "CC0-1.0"),
        (" http://creativecommons.org/publicdomain/zero/1.0/ ", "CC0-1.0"),
        ("https://creativecommons.org/publicdomain/zero/1.0/deed.de", "CC0-1.0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/", "CC-PDM-1.0"),
        ("CC BY 4.0", "CC-BY-4.0"),
        ("cc-by-4.0", "CC-BY-4.0"),
        ("CC_BY_4.0", "CC-BY-4.0"),
        ("BY-NC 3.0", "CC-BY-NC-3.0"),
        ("CC BY", "CC-BY"),
        ("Creative Commons Attribution 4.0 International", "CC-BY-4.0"),
        ("Creative Commons Attribution 4.0 International License", "CC-BY-4.0"),
        ("Creative Commons Attribution-NonCommercial-ShareAlike 4.0 International", "CC-BY-NC-SA-4.0"),
        ("Attribution-NoDerivs 3.0 Unported", "CC-BY-ND-3.0"),
        ("Attribution-NoDerivatives 4.0", "CC-BY-ND-4.0"),
        ("Attribution NonCommercial", "CC-BY-NC"),
        ("https://creativecommons.org/licenses/by/4.0", "CC-BY-4.0"),
        ("https://www.creativecommons.org/licenses/by-nc/3.0/legalcode", "CC-BY-NC-3.0"),
        ("creativecommons.org/licenses/by/3.0/de/deed.en", "CC-BY-3.0-DE"),
        ("http://creativecommons.org/licenses/sampling+/1.0/", "Sampling+ 1.0"),
        # What is none, or says more.
        ("Attribution", "Attribution"),
        ("by", "by"),
        ("", ""),
        ("All rights reserved", "All rights reserved"),
        ("https://example.org/mine", "https://example.org/mine"),
        ("CC BY 4.0, not the voices", "CC BY 4.0, not the voices"),
        (
            "https://creativecommons.org/licenses/by/4.0/ and more",
            "https://creativecommons.org/licenses/by/4.0/ and more",
        ),
        ("CC0; https://example.org/cc0", "CC0; https://example.org/cc0"),
    ],
)
def test_a_licence_has_one_name_however_it_is_written(written: str, name: str) -> None:
    assert licence_called(written) == name
    assert licence_called(name) == name
    assert facts_of(LibrarySound("a.wav", columns={"licence": written}), {}).licence == (name or None)


@given(st.text())
def test_any_text_can_be_a_licence(text: str) -> None:
    assert licence_called(licence_called(text)) == licence_called(text)
