"""Alphabets of many characters, in no order, and without a space."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
import torch

from deepspeech2.decoding import BeamSearchDecoder, LanguageModelDecoder, fired
from deepspeech2.decoding.kernels import prefixes, search
from deepspeech2.seeding import generator
from deepspeech2.text import TextEncoder
from deepspeech2.text.ngram import kernel as ngram
from deepspeech2.text.ngram.arpa import write_arpa
from deepspeech2.types import Padded
from tests.decoding.ctc_oracle import all_transcripts, first_of_each_text
from tests.decoding.ngram_oracle import PlainModel, random_tables

CHARACTERS = "語ы éжあ中я漢ñ字"  # neither sorted nor with the space at an end
WORDS = ("語", "ж", "жя", "жñ", "ñ", "あ中", "漢字")


def log_probs(encoder: TextEncoder, frames: int, *, seed: int) -> Padded:
    shape = (2, frames, encoder.n_tokens)
    logits = torch.randn(shape, generator=generator("cpu", seed), dtype=torch.float64)
    return Padded((2 * logits).log_softmax(-1), torch.full((2,), frames))


def test_any_order_of_characters_agrees_with_exhaustive_search(tmp_path: Path) -> None:
    encoder = TextEncoder(CHARACTERS)
    tables = random_tables(WORDS, 2, seed=1)
    write_arpa(tables, tmp_path / "m.arpa")
    model = PlainModel(tables)
    decoder = LanguageModelDecoder(
        encoder, lm=str(tmp_path / "m.arpa"), lm_weight=0.6, word_score=0.5, unknown_score=-3.0,
        hotwords={"жя": 1.5, "あ中 語": 2.0, "ы": 1.0}, beam_size=5000, nbest=50,
        beam_threshold=None,
    )  # fmt: skip
    batch = log_probs(encoder, 4, seed=2)
    for found, utterance in zip(decoder(batch), batch.unpad(), strict=True):
        expected = {}
        for labels, heard in all_transcripts(utterance).items():
            text = encoder.decode(labels)
            spoken = text.split()
            unknown = sum(word not in (*WORDS, "ы") for word in spoken)
            language = math.log(10) * sum(model.sentence(spoken))
            hot = sum(
                boost * len(re.findall(f"(?= {phrase} )", f" {text} "))
                for phrase, boost in {"жя": 1.5, "あ中 語": 2.0, "ы": 1.0}.items()
            )
            expected[labels] = heard + 0.6 * language + 0.5 * len(spoken) - 3.0 * unknown + hot
        every = sorted(expected.items(), key=lambda item: -item[1])
        ranked = [labels for labels, _ in first_of_each_text(every, encoder)][: len(found)]
        assert [each.labels for each in found] == ranked
        assert [each.score for each in found] == pytest.approx([expected[each] for each in ranked])


def test_without_a_space_hot_words_count_anywhere_and_are_reported() -> None:
    encoder = TextEncoder("語あ中")
    boosts = {"語あ": 1.5, "あ語あ": 2.0}
    decoder = BeamSearchDecoder(encoder, hotwords=boosts, beam_size=3000, nbest=30)
    batch = log_probs(encoder, 6, seed=3)
    for found, utterance in zip(decoder(batch), batch.unpad(), strict=True):
        expected = {
            labels: heard + decoder.language_score(encoder.decode(labels))
            for labels, heard in all_transcripts(utterance).items()
        }
        every = sorted(expected.items(), key=lambda item: -item[1])
        ranked = [labels for labels, _ in first_of_each_text(every, encoder)][: len(found)]
        assert [each.labels for each in found] == ranked
        assert [each.score for each in found] == pytest.approx([expected[each] for each in ranked])
    assert decoder.language_score("あ語あ語あ") == 2 * 1.5 + 2 * 2.0
    assert fired("中語あ中", decoder.hotwords, encoder) == ("語あ",)
    # words of an alphabet with a space count whole
    spaced = TextEncoder("語あ中 ")
    assert fired("中語あ中", decoder.hotwords, spaced) == ()
    assert BeamSearchDecoder(spaced, hotwords=boosts).language_score("中 語あ 語あ") == 3.0


@contextmanager
def lines_run() -> Iterator[list[int]]:
    """Counts the lines of Python that run."""
    count = [0]

    def tracer(frame: FrameType, event: str, argument: Any) -> Any:
        count[0] += event == "line"
        return tracer

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        yield count
    finally:
        sys.settrace(before)


@pytest.mark.parametrize("kind", ["hot word", "language model", "both"])
def test_work_grows_with_the_alphabet_and_not_with_its_square(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def work(size: int) -> int:
        letters = "".join(map(chr, range(0x4E00, 0x4E00 + size)))
        encoder = TextEncoder(f" {letters}")
        hot = None if kind == "language model" else [letters[5:8]]
        options: dict[str, Any] = {"beam_size": 3, "hotwords": hot}
        decoder: BeamSearchDecoder | LanguageModelDecoder
        if kind == "hot word":
            decoder = BeamSearchDecoder(encoder, **options)
        else:
            path = tmp_path / f"{size}.arpa"
            write_arpa(random_tables(letters, 1, seed=1), path)
            decoder = LanguageModelDecoder(encoder, lm=str(path), **options)
        frames = (0.01 * log_probs(encoder, 4, seed=4).data[0]).log_softmax(-1).numpy()
        parts = decoder._fusion
        expected = search.search(frames, 3, math.inf, 3, parts)
        parts = parts._replace(
            **{name: getattr(parts, name).view(np.recarray) for name in ("lm", "spellings", "hot")}
        )
        with monkeypatch.context() as patch:
            for module in (search, prefixes, ngram):
                for name, value in vars(module).items():
                    if hasattr(value, "py_func"):
                        patch.setattr(module, name, value.py_func)
            with np.errstate(invalid="ignore"), lines_run() as count:
                found = search.search(frames, 3, math.inf, 3, parts)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6)  # NumPy adds in single precision
        return count[0]

    assert work(400) < 2.5 * work(200)
