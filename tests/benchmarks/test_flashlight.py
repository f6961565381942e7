"""Flashlight's searches; all but the first two tests need requirements-lm.txt."""

from __future__ import annotations

import gzip
import logging
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.flashlight import FlashlightDecoder
from deepspeech2.decoding import BeamSearchDecoder
from deepspeech2.errors import ConfigError
from deepspeech2.text import TextEncoder
from deepspeech2.types import Hypothesis, Padded
from tests.decoding.ctc_oracle import all_transcripts, first_of_each_text

ARPA = """
\\data\\
ngram 1=7
ngram 2=2

\\1-grams:
-9\t<unk>
-99\t<s>\t-0.3
-1\t</s>
-0.5\tTHE\t-0.2
-1.5\tSEA\t-0.2
-1.5\tSEE\t-0.2
-1.5\tNAÏVE\t-0.2

\\2-grams:
-0.2\tTHE SEA
-2.0\tTHE SEE

\\end\\
"""
ENCODER = TextEncoder()


@pytest.fixture
def flashlight() -> Any:
    return pytest.importorskip("flashlight.lib.text.decoder")


@pytest.fixture
def arpa(tmp_path: Path) -> Path:
    path = tmp_path / "lm.arpa"
    path.write_text(ARPA, encoding="utf-8")
    return path


def spoken(*alternatives: str, doubt: float = 0.4) -> Padded:
    """A batch of one: frames of the first text, of which ``doubt`` goes to the others' letters."""
    frames = torch.full((2 * len(alternatives[0]), ENCODER.n_tokens), 1e-4)
    frames[1::2, ENCODER.blank] = 1.0
    for text in reversed(alternatives):
        for index, character in enumerate(text):
            label = ENCODER.alphabet.index(character) + 1
            frames[2 * index, label] = 1 - doubt if text == alternatives[0] else doubt
    data = (frames / frames.sum(1, keepdim=True)).log()[None]
    return Padded(data, torch.tensor([data.shape[1]]))


def posteriors(frames: int, tokens: int = 29, *, seed: int, sharpness: float = 4.0) -> Padded:
    random = torch.Generator().manual_seed(seed)
    logits = sharpness * torch.randn(5, frames, tokens, generator=random)
    lengths = torch.randint(0, frames + 1, (5,), generator=random)
    lengths[0] = frames
    return Padded(logits.log_softmax(-1), lengths)


def best(decoder: FlashlightDecoder, batch: Padded) -> Hypothesis:
    return decoder(batch)[0][0]


def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("flashlight", "flashlight.lib", "flashlight.lib.text"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=r"not installed: pip install -r requirements-lm\.txt"):
        FlashlightDecoder(ENCODER)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam_size": 0}, "beam_size must be at least 1, but is 0"),
        ({"nbest": 101}, r"nbest must be 1 to beam_size \(100\), but is 101"),
        ({"beam_size_token": 0}, "beam_size_token must be at least 1, but is 0"),
        ({"beam_threshold": 0.0}, r"beam_threshold must be positive, but is 0\.0"),
        ({"unknown_score": math.nan}, "unknown_score must be finite or null, but is nan"),
        ({"lm_weight": math.inf}, "lm_weight must be finite, but is inf"),
        ({"word_score": -math.inf}, "word_score must be finite, but is -inf"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FlashlightDecoder(ENCODER, **options)


@pytest.mark.usefixtures("flashlight")
class TestWithoutWords:
    @pytest.mark.parametrize("frames", [1, 3, 5])
    def test_agrees_with_exhaustive_search(self, frames: int) -> None:
        batch = posteriors(frames, tokens=4, seed=frames, sharpness=1.5)
        decoder = FlashlightDecoder(
            TextEncoder("ab "), beam_size=500, nbest=500, beam_threshold=None
        )
        for found, utterance in zip(decoder(batch), batch.unpad(), strict=True):
            ranked = sorted(all_transcripts(utterance).items(), key=lambda item: -item[1])
            ranked = first_of_each_text(ranked, TextEncoder("ab "))
            assert [each.labels for each in found] == [labels for labels, _ in ranked]
            scores = [score for _, score in ranked]
            assert [each.score for each in found] == pytest.approx(scores, abs=1e-5)

    @pytest.mark.parametrize("seed", range(4))
    def test_agrees_with_our_beam_search(self, seed: int) -> None:
        batch = posteriors(30, seed=seed)
        found = FlashlightDecoder(ENCODER, beam_size=200, beam_threshold=None)(batch)
        expected = BeamSearchDecoder(ENCODER, beam_size=200)(batch)
        # Scores differ by the alignments that each beam loses.
        assert [[replace(each, score=0.0) for each in row] for row in found] == [
            [replace(each, score=0.0) for each in row] for row in expected
        ]

    def test_an_alphabet_without_a_space(self) -> None:
        encoder = TextEncoder("ab")
        batch = Padded(torch.tensor([[[0.1, 0.8, 0.1], [0.1, 0.1, 0.8]]]).log(), torch.tensor([2]))
        assert best(FlashlightDecoder(encoder), batch).text == "ab"

    def test_padding_is_not_read(self) -> None:
        batch = posteriors(20, seed=1)
        poisoned = Padded(batch.masked(math.nan).data, batch.lengths)
        decoder = FlashlightDecoder(ENCODER, nbest=2)
        assert decoder(poisoned) == decoder(batch)

    def test_half_precision(self) -> None:
        batch = posteriors(20, seed=2)
        rough = Padded(batch.data.bfloat16(), batch.lengths)
        decoder = FlashlightDecoder(ENCODER)
        assert decoder(rough) == decoder(Padded(rough.data.float(), rough.lengths))

    def test_nothing_to_decode(self) -> None:
        decoder = FlashlightDecoder(ENCODER)
        lengths = torch.zeros(2, dtype=torch.int64)
        assert decoder(Padded(torch.zeros(0, 5, 29), lengths[:0])) == []
        assert decoder(Padded(torch.zeros(2, 0, 29), lengths)) == [[Hypothesis("", 0.0)]] * 2

    def test_settings_make_the_same_decoder(self) -> None:
        decoder = FlashlightDecoder(ENCODER, beam_size=7, beam_threshold=None, nbest=2)
        assert FlashlightDecoder(ENCODER, **decoder.settings).settings == decoder.settings

    def test_wrong_number_of_tokens(self) -> None:
        with pytest.raises(ValueError, match=r"log_probs must be \(B, T, 29\)"):
            FlashlightDecoder(ENCODER)(Padded(torch.zeros(1, 2, 5), torch.tensor([2])))


@pytest.mark.usefixtures("flashlight")
class TestWithWords:
    def test_model_decides_between_words(
        self, arpa: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        batch = spoken("the see", "the sea")
        assert BeamSearchDecoder(ENCODER)(batch)[0][0].text == "the see"
        with caplog.at_level(logging.INFO):
            decoder = FlashlightDecoder(ENCODER, lm=str(arpa), nbest=2)
        assert "words left out for letters outside the alphabet: 1" in caplog.text
        assert [each.text for each in decoder(batch)[0]] == ["the sea", "the see"]
        assert best(FlashlightDecoder(ENCODER, lm=str(arpa), lm_weight=0.0), batch).text == (
            "the see"
        )

    def test_score_and_frames(self, arpa: Path) -> None:
        found = best(
            FlashlightDecoder(
                ENCODER, lm=str(arpa), lm_weight=2.0, word_score=0.7, beam_threshold=None
            ),
            spoken("the sea", doubt=0.01),
        )
        acoustic = BeamSearchDecoder(ENCODER)(spoken("the sea", doubt=0.01))[0][0]
        # <s> backs off (-0.3) to "the", "sea" follows it, and "sea" (-0.2) ends the sentence.
        log10 = -0.3 - 0.5 - 0.2 - 0.2 - 1.0
        expected = acoustic.score + 2.0 * math.log(10) * log10 + 2 * 0.7
        assert found.score == pytest.approx(expected, abs=2e-3)
        assert (found.labels, found.frames) == (acoustic.labels, acoustic.frames)
        assert found.confidences == pytest.approx(acoustic.confidences)

    def test_last_word_needs_no_space(self, tmp_path: Path) -> None:
        lexicon = tmp_path / "words.txt"
        lexicon.write_text("the\nsea\nseas\n")
        decoder = FlashlightDecoder(ENCODER, lexicon=str(lexicon))
        # A space in place of the last letter ends a word too, but a less probable one.
        for batch in (spoken("the seas", "the sea ", doubt=0.3), spoken("the seas ")):
            found = best(decoder, batch)
            assert found.text == "the seas"
            assert max(found.frames) < batch.data.shape[1]

    def test_gzipped_model(self, arpa: Path) -> None:
        packed = arpa.with_suffix(".arpa.gz")
        packed.write_bytes(gzip.compress(arpa.read_bytes()))
        batch = spoken("the see", "the sea")
        assert best(FlashlightDecoder(ENCODER, lm=str(packed)), batch).text == "the sea"

    def test_lexicon_limits_the_words(self, arpa: Path) -> None:
        lexicon = arpa.with_name("words.txt")
        lexicon.write_text("see\tS IY\nThe\tDH AH\n")
        batch = spoken("the sea", doubt=0.3)
        for lm in (None, str(arpa)):
            decoder = FlashlightDecoder(ENCODER, lm=lm, lexicon=str(lexicon))
            assert best(decoder, batch).text == "the see"
        of_arpa = best(FlashlightDecoder(ENCODER, lm=lm), spoken("the see"))
        assert best(decoder, spoken("the see")) == of_arpa

    def test_unknown_words_if_wanted(self, arpa: Path) -> None:
        batch = spoken("th sea", doubt=0.01)
        lm = str(arpa)
        assert best(FlashlightDecoder(ENCODER, lm=lm), batch).text != "th sea"
        decoder = FlashlightDecoder(ENCODER, lm=lm, lm_weight=0.1, unknown_score=0.0)
        assert best(decoder, batch).text == "th sea"

    def test_impossible_frames(self, arpa: Path) -> None:
        data = torch.full((1, 3, ENCODER.n_tokens), -math.inf)
        found = FlashlightDecoder(ENCODER, lm=str(arpa))(Padded(data, torch.tensor([3])))
        assert len(found[0]) == 1
        assert found[0][0].score < -1e4

    def test_bad_files(self, arpa: Path, tmp_path: Path) -> None:
        def message(content: bytes | None, **options: str) -> str:
            path = tmp_path / "bad"
            if content is not None:
                path.write_bytes(content)
            with pytest.raises(ConfigError) as caught:
                FlashlightDecoder(ENCODER, **options)  # type: ignore[arg-type]
            return str(caught.value)

        bad = str(tmp_path / "bad")
        Path(bad + ".gz").write_bytes(gzip.compress(ARPA.encode())[:40])
        assert message(None, lm=bad) == f"{bad} does not exist"
        assert message(None, lm=str(arpa), lexicon=bad) == f"{bad} does not exist"
        assert "no section \\1-grams:" in message(b"hello\n", lm=bad)
        assert "name its words with lexicon" in message(b"mmap lm http://kheafield.com", lm=bad)
        assert f"KenLM cannot read {bad}" in message(ARPA[:-30].encode(), lm=bad)
        assert f"{bad}.gz cannot be read" in message(None, lm=bad + ".gz")
        assert "no word of the lexicon" in message("Ωμέγα\n".encode(), lexicon=bad)
        with pytest.raises(ConfigError, match="alphabet must hold a space for words"):
            FlashlightDecoder(TextEncoder("ab"), lm=str(arpa))
