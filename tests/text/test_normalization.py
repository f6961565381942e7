from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepspeech2.errors import ConfigError
from deepspeech2.text import Normalizer


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
        (
            "\u201chello\u201d \u201ehallo\u201c \u00abbonjour\u00bb \u2039a\u203a \u300cb\u300d",
            "hello hallo bonjour a b",
        ),
        ("\u00bfqu\u00e9 tal? \u00a1bien!", "qu\u00e9 tal bien"),
        (
            "\u0645\u0631\u062d\u0628\u0627\u060c \u0643\u064a\u0641\u061f",
            "\u0645\u0631\u062d\u0628\u0627 \u0643\u064a\u0641",
        ),
        (
            "\u200f\u05e9\u05dc\u05d5\u05dd\u200f \u05e2\u05d5\u05dc\u05dd",
            "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd",
        ),
        ("\u4f60\u597d\uff0c\u4e16\u754c\u3002", "\u4f60\u597d\u4e16\u754c"),
        (
            "\u0928\u092e\u0938\u094d\u0924\u0947\u0964 \u0928\u0939\u0940\u0902",
            "\u0928\u092e\u0938\u094d\u0924\u0947 \u0928\u0939\u0940\u0902",
        ),
        (
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        ),
        (
            "\u043e\u043d: \u00ab\u0434\u0430\u00bb \u2014 \u0438 \u0432\u0441\u0451\u2026",
            "\u043e\u043d \u0434\u0430 \u0438 \u0432\u0441\u0451",
        ),
        ("\u03c4\u03b9; \u03bd\u03b1\u03b9\u00b7", "\u03c4\u03b9 \u03bd\u03b1\u03b9\u00b7"),
        ("\u1230\u120b\u121d\u1361\u120d\u1305\u1362", "\u1230\u120b\u121d \u120d\u1305"),
        ("don\u2032t don\u00b4t don`t don\u201bt don\u02bct", "don't don't don't don't don't"),
        ("well\u2011known \u2010 a\u2212b", "well known a b"),
        ("\u2022 one \u2022 two", "one two"),
        ("col\u00b7legi 5\u2030", "col\u00b7legi 5\u2030"),
        ("50 % & #3 @ a/b", "50 % & #3 @ a/b"),
    ],
)
def test_examples(raw: str, expected: str) -> None:
    assert Normalizer()(raw) == expected


def test_case() -> None:
    assert Normalizer("upper")("Stra\u00dfe") == "STRASSE"
    assert Normalizer("keep")("Mixed Case.") == "Mixed Case"
    with pytest.raises(
        ConfigError, match="case must be one of lower, upper, keep, turkish, but is 'x'"
    ):
        Normalizer("x")


def test_dotted_and_dotless_i() -> None:
    assert Normalizer("turkish")("I\u011eDIR \u0130zmir I\u0307") == "\u0131\u011fd\u0131r izmir i"
    assert Normalizer("turkish")("\u0131i") == "\u0131i"


def test_marks_stand_for_their_kind_only_where_they_are_named() -> None:
    plain = Normalizer(remove="!", to_space="")
    assert plain("\u00bf\u201ca\u201d\u2014b!") == "\u00bf\u201ca\u201d\u2014b"
    assert Normalizer(keep="\u00bf")("\u00bfno?") == "\u00bfno"


def test_removing_the_apostrophe_removes_the_typographic_one_as_well() -> None:
    assert Normalizer(remove="'")("don't don\u2019t") == "dont dont"


@settings(max_examples=300)
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
