"""Pieces of words from the text to the exported model: each command as a user runs it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from deepspeech2.commands.train import train
from deepspeech2.commands.train_lm import train_lm
from deepspeech2.decoding import Decoder, LanguageModelDecoder
from deepspeech2.inference import Recognizer, StreamingRecognizer
from deepspeech2.text import SubwordEncoder, Tokenizer
from deepspeech2.transcripts import Transcript
from tests.system.conftest import Run
from tests.toy import WORDS, config, overrides, write_corpus

pytestmark = pytest.mark.slow
STREAMS = (
    "transforms=none", "model.dropout=0", "model.bidirectional=false", "+model.lookahead=8",
    "transforms.normalization._target_=deepspeech2.transforms.GlobalNormalization",
)  # fmt: skip
FRAME = 0.05  # s; the last one may be padded


@pytest.fixture(scope="module", params=["bpe", "unigram"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the toy corpus, of a network that streams, with pieces that the command trained."""
    pytest.importorskip("sentencepiece")
    from deepspeech2.commands.train_tokenizer import main

    place = tmp_path_factory.mktemp(request.param)
    data = write_corpus(place / "data", {"train": 200, "val": 8})
    pieces = place / "pieces.json"
    words = ["-cn=an4", "datasets=manifest", f"data_dir={data}", f"--type={request.param}"]
    assert main([*words, "--size=9", f"--output={pieces}"]) == 0
    named = ("text_encoder=subword", f"text_encoder.pieces={pieces}", "trainer.n_epochs=5")
    assert train(config("an4", *overrides(data, place, *STREAMS, *named))) == 0
    pieces.unlink()  # the checkpoint contains them
    return place / "toy"


def recording(run: Path) -> tuple[Path, str]:
    """The longest of the validation part, with its text."""
    texts = {}
    for index, path in enumerate(sorted((run.parent / "data/val").glob("*.wav"))):
        draw = np.random.default_rng([index, len("val")])
        texts[path] = " ".join(draw.choice(WORDS, size=draw.integers(1, 4)))
    return max(texts.items(), key=lambda item: len(item[1]))


def check_words(found: Transcript, text: str) -> None:
    """Each word is where it is said, give or take what the network looks ahead."""
    assert found.text == text
    assert [word.word for word in found.words] == text.split()
    ends = [0.0]
    for word, length in zip(found.words, map(len, text.split()), strict=True):
        assert ends[-1] <= word.start < word.end <= found.duration + FRAME
        assert word.confidence is not None
        assert 0.3 < word.confidence <= 1
        assert word.end - word.start < 0.14 * (length + 1) + 0.15
        ends.append(word.end)
    start = 0.05
    for word in found.words:
        said = 0.12 * len(word.word)
        assert abs((word.start + word.end) / 2 - (start + said / 2)) < 0.3
        start += said + 0.12


def test_a_trained_model_hears_the_words_and_where_they_are(run: Path) -> None:
    model = Recognizer.from_checkpoint(run / "model_best.pth")
    assert isinstance(model.text_encoder, SubwordEncoder)
    assert max(map(len, model.text_encoder.tokens)) > 2
    audio, text = recording(run)
    check_words(model.transcribe(audio), text)


@pytest.mark.parametrize("chunk", [700, 16000])
def test_a_stream_is_the_file(run: Path, chunk: int) -> None:
    audio, _ = recording(run)
    samples, _ = soundfile.read(audio, dtype="float32")
    stream = StreamingRecognizer.from_checkpoint(run / "model_best.pth")
    whole, state = stream.recognizer.transcribe(audio), stream.start()
    for first in range(0, len(samples), chunk):
        state = stream.hear(state, samples[first : first + chunk])
    found = stream.finish(state)
    assert found.text == whole.text
    assert [(w.word, w.start, w.end) for w in found.words] == [
        (w.word, w.start, w.end) for w in whole.words
    ]
    assert [w.confidence for w in found.words] == pytest.approx(
        [w.confidence for w in whole.words], abs=1e-4
    )


def test_onnx_is_the_checkpoint(quick_command: Run, run: Path, tmp_path: Path) -> None:
    best, whole, stream = run / "model_best.pth", tmp_path / "a.onnx", tmp_path / "s.onnx"
    audio, _ = recording(run)
    expected = Recognizer.from_checkpoint(best).transcribe(audio)
    for output, more in ((whole, []), (stream, ["--streaming"])):
        done = quick_command("scripts/export.py", str(best), "--output", str(output), *more)
        assert done.returncode == 0, done.stderr
    reader = StreamingRecognizer.from_checkpoint(stream)
    samples, _ = soundfile.read(audio, dtype="float32")
    state = reader.start()
    for first in range(0, len(samples), 4000):
        state = reader.hear(state, samples[first : first + 4000])
    for found in (Recognizer.from_checkpoint(whole).transcribe(audio), reader.finish(state)):
        assert found.text == expected.text
        for ours, theirs in zip(found.words, expected.words, strict=True):
            assert (ours.word, ours.start, ours.end) == (theirs.word, theirs.start, theirs.end)
            assert ours.confidence == pytest.approx(theirs.confidence, abs=1e-3)


def test_a_model_of_words_corrects_pieces(run: Path, tmp_path: Path) -> None:
    """Of words that are never said the acoustics alone would take none."""
    audio, text = recording(run)
    (tmp_path / "text.txt").write_text(f"{text}\n" * 3, "utf-8")
    train_lm([tmp_path / "text.txt"], tmp_path / "own.arpa", order=2)
    (tmp_path / "others.txt").write_text("cc aa\naa cc\n" * 3, "utf-8")
    train_lm([tmp_path / "others.txt"], tmp_path / "others.arpa", order=2)

    def heard(name: str) -> set[str]:
        def decoder(encoder: Tokenizer) -> Decoder:
            lm = str(tmp_path / f"{name}.arpa")
            return LanguageModelDecoder(
                encoder, lm=lm, lm_weight=0.5, unknown_score=None, beam_threshold=None
            )

        model = Recognizer.from_checkpoint(run / "model_best.pth", decoder=decoder)
        return set(model.transcribe(audio).text.split())

    assert heard("own") == set(text.split())
    assert heard("others") <= {"aa", "cc"}
