"""One line about a wrong alphabet: characters, their share, and settings that work as pasted."""

from __future__ import annotations

import shlex

import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser

from deepspeech2.config.quoting import quoted
from deepspeech2.datasets import Corpus
from deepspeech2.errors import ManifestError
from deepspeech2.extras.checks import trainable
from deepspeech2.extras.checks.alphabet import outside_alphabet
from deepspeech2.text import TextEncoder
from tests.preflight.test_corpora import utterance

RUSSIAN = ["привет мир", "съешь ещё этих мягких булок", "да"]


def pasted(sentence: str) -> str:
    """The alphabet that a shell and Hydra read from the setting in ``sentence``."""
    word = next(each for each in shlex.split(sentence) if each.startswith("text_encoder.alphabet="))
    override = OverridesParser.create().parse_override(quoted(word.rstrip(";")))
    return str(override.value())


@pytest.mark.parametrize(
    ("texts", "alphabet"),
    [
        (RUSSIAN, " 'абвгдеикльмопрстухшщъьэяё"),
        (["ωραία", "μέρα"], " 'έίαμρω"),
        (["schöne grüße", "aus ulm", "im mai", "a b", "c d"], " 'abcdefghijklmnopqrstuvwxyzßöü"),
    ],
)
def test_a_ready_made_alphabet_takes_everything_in(texts: list[str], alphabet: str) -> None:
    outside = outside_alphabet(texts, TextEncoder())
    assert outside is not None
    assert "\n" not in str(outside)
    found = pasted(outside.remedy)
    assert set(found) == set(alphabet)
    assert outside_alphabet(texts, TextEncoder(found)) is None


@pytest.mark.parametrize("extra", ['"', "$", "\\", "!"])
def test_any_alphabet_can_be_pasted(extra: str) -> None:
    encoder = TextEncoder(f" '{extra}abc", remove="")
    outside = outside_alphabet([f"abcé'{extra}"], encoder)
    assert outside is not None
    assert pasted(outside.remedy) == f" '{extra}abcé"


def test_shares_and_counts() -> None:
    outside = outside_alphabet(["ab", "é3", "é", "a", "b", "c", "x", "y"], TextEncoder())
    assert str(outside).startswith(
        "2 of 8 utterances (25.0 %) have characters outside the alphabet: 'é' in 2, '3' in 1. Set"
    )
    assert outside is not None
    assert not outside.wrong
    assert outside_alphabet(["ab"], TextEncoder()) is None


def test_digits_case_signs_and_large_alphabets() -> None:
    def remedy(text: str, encoder: TextEncoder) -> str:
        outside = outside_alphabet([text], encoder)
        assert outside is not None
        return outside.remedy

    assert remedy("42", TextEncoder()).startswith("Set text_encoder.spell_out=en, which")
    lower, upper = TextEncoder(" abc", case="keep"), TextEncoder(" ABC", case="keep")
    assert remedy("ABC", lower) == "Set text_encoder.case=lower, the case of the alphabet"
    assert remedy("abc", upper) == "Set text_encoder.case=upper, the case of the alphabet"
    assert "remove or to_space" in remedy("5 €", TextEncoder())
    syllables = "".join(map(chr, range(0xAC00, 0xAC00 + 300)))
    assert "302 characters that deepspeech2 preview lists" in remedy(syllables, TextEncoder())


def test_more_than_half_left_out_is_an_error_in_one_line() -> None:
    def frames(samples: torch.Tensor) -> torch.Tensor:
        return samples

    def separate(texts: list[str]) -> tuple[int, int]:
        items = [utterance(str(number), text) for number, text in enumerate(texts)]
        kept, left_out, _ = trainable(Corpus("c", items), TextEncoder(), frames, 16000, "train")
        return len(kept), len(left_out)

    assert separate(["ab", "да"]) == (1, 1)
    with pytest.raises(ManifestError) as caught:
        separate(["ab", "да", "нет"])
    message = str(caught.value)
    assert message.startswith("train: 2 of 3 utterances (66.7 %) have characters outside")
    assert "text_encoder.alphabet=" in message
    assert "\n" not in message
