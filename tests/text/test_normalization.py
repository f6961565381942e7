from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.errors import ConfigError
from src.text import Normalizer


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("  Hello,\tWORLD!\n", "hello world"),
        ("isn\u2019t \u2018t\u02bcis", "isn't 't'is"),
        ("well-known\u2014yes\u2013no", "well known yes no"),
        ("so\u2026then", "so then"),
        ("so...then", "sothen"),
        ("\ufeffbom", "bom"),
        ("caf\u0065\u0301", "caf\u00e9"),
        ("\ufb01ne \uff28\uff29\uff0c", "fine hi"),
        ("", ""),
        (' .?!"" ', ""),
    ],
)
def test_examples(raw: str, expected: str) -> None:
    assert Normalizer()(raw) == expected


def test_case() -> None:
    assert Normalizer("upper")("Stra\u00dfe") == "STRASSE"
    assert Normalizer("keep")("Mixed Case.") == "Mixed Case"
    with pytest.raises(ConfigError, match="case must be one of lower, upper, keep, but is 'x'"):
        Normalizer("x")


def test_removing_the_apostrophe_removes_the_typographic_one_as_well() -> None:
    assert Normalizer(remove="'")("don't don\u2019t") == "dont dont"


@settings(max_examples=300, deadline=None)
@given(st.text(), st.sampled_from(["lower", "upper", "keep"]))
def test_normalised_text_is_a_fixed_point(text: str, case: str) -> None:
    normalizer = Normalizer(case)
    once = normalizer(text)
    assert normalizer(once) == once
    assert once == " ".join(once.split())
    assert not set(once) & set(normalizer.remove + normalizer.to_space)


def test_every_character_settles_at_once() -> None:
    for case in ("lower", "upper"):
        normalizer = Normalizer(case)
        for code in range(0x3000):
            text = f"a{chr(code)}b"
            assert normalizer(normalizer(text)) == normalizer(text)
