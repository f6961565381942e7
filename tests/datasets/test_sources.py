"""What ``audio`` may be."""

from __future__ import annotations

import io
import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile

from deepspeech2.audio import reading
from deepspeech2.datasets import AudioCorpus
from deepspeech2.datasets import audio_corpus as recording
from deepspeech2.errors import AudioError, ConfigError, ManifestError, SpeechError


@pytest.fixture
def talks(tmp_path: Path) -> Path:
    folder = tmp_path / "talks"
    (folder / "more").mkdir(parents=True)
    for name in ("a.wav", "b.flac", "more/c.ogg"):
        soundfile.write(folder / name, np.zeros(4000), 8000)
    (folder / "b.txt").write_text("WHAT WAS SAID")
    return folder


@pytest.fixture(autouse=True)
def below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "FOLDER", str(tmp_path / "recorded"))


def test_a_file_and_a_folder(talks: Path) -> None:
    (one,) = AudioCorpus(str(talks / "b.flac"))
    assert (one.id, one.text, one.duration) == ("b", "WHAT WAS SAID", 0.5)
    corpus = AudioCorpus(str(talks))
    assert corpus.name == "talks"
    assert [each.id for each in corpus] == ["a", "b", "c"]


@pytest.mark.parametrize("ending", ["txt", "lst"])
def test_a_list(talks: Path, ending: str) -> None:
    listed = talks / f"tonight.{ending}"
    listed.write_text(f"# first\nmore/c.ogg\n\n{talks / 'a.wav'}  # by its whole path\nnone.wav\n")
    corpus = AudioCorpus(str(listed))
    assert corpus.name == "tonight"
    assert [each.id for each in corpus] == ["c", "a"]
    (missing,) = corpus.exclusions
    assert missing.reason == "does not exist"
    assert missing.utterance is not None
    assert missing.utterance.audio == talks / "none.wav"


def test_several(talks: Path) -> None:
    corpus = AudioCorpus([str(talks / "b.flac"), str(talks / "more/c.ogg")])
    assert [(each.id, each.text) for each in corpus] == [("b", "WHAT WAS SAID"), ("c", None)]


def test_names_that_collide_stay_apart(talks: Path) -> None:
    soundfile.write(talks / "more/a.wav", np.zeros(4000), 8000)
    corpus = AudioCorpus([str(talks / "a.wav"), str(talks / "more/a.wav")])
    assert len({each.id for each in corpus}) == 2


def test_a_manifest(talks: Path) -> None:
    row = {"audio_filepath": "a.wav", "offset": 0.1, "duration": 0.2, "text": "HI", "id": "x"}
    (talks / "some.jsonl").write_text(json.dumps(row))
    (one,) = AudioCorpus(str(talks / "some.jsonl"))
    assert (one.id, one.offset, one.duration, one.text) == ("x", 0.1, 0.2, "HI")


@pytest.mark.parametrize("odd", [b"", b"\x01"])
def test_samples_on_standard_input(
    monkeypatch: pytest.MonkeyPatch, odd: bytes, tmp_path: Path
) -> None:
    samples = (1000 * np.sin(np.arange(200_000))).astype("<i2")
    stream = io.BytesIO(samples.tobytes() + odd)
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=stream))
    (one,) = AudioCorpus("-", rate=8000)
    assert one.duration == 25.0
    assert one.audio.parent == tmp_path / "recorded"
    heard = reading.read_audio(one.audio, sample_rate=8000).numpy()
    np.testing.assert_allclose(heard, samples / 32768, atol=1e-7)


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "aiff", "au", "caf", "mp3"])
def test_a_recording_on_standard_input(
    monkeypatch: pytest.MonkeyPatch, ending: str, tmp_path: Path
) -> None:
    path = tmp_path / f"a.{ending}"
    soundfile.write(path, np.sin(np.arange(200_000)) / 2, 44100)
    content = path.read_bytes()
    if ending == "mp3":
        content = b"ID3\x04\x00\x00\x00\x00\x00\x00" + content
    stream = io.BytesIO(content)
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=stream))
    (one,) = AudioCorpus("-", rate=8000)
    assert one.duration == pytest.approx(200_000 / 44100, abs=0.05)
    assert one.audio.read_bytes() == content


def test_a_list_names_files_with_hashes_and_tildes(talks: Path) -> None:
    names = ["take #3 50%.wav", "#1.wav", "~draft.wav", "a.wav"]
    for name in names:
        soundfile.write(talks / name, np.zeros(800), 8000)
    (talks / "some.txt").write_text("\n".join(("# all", *names, "a.wav # again")))
    corpus = AudioCorpus(str(talks / "some.txt"))
    assert [each.audio.name for each in corpus] == [*names, "a.wav"]
    assert not corpus.exclusions


def test_the_microphone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stream:
        def __init__(self, rate: int, channels: int, dtype: str, callback: object) -> None:
            assert (rate, channels, dtype) == (16000, 1, "int16")
            self.callback = callback

        def __enter__(self) -> None:
            self.callback(b"\x00\x40" * 1600, 1600, None, None)  # type: ignore[operator]

        def __exit__(self, *error: object) -> None: ...

    device = types.SimpleNamespace(RawInputStream=Stream)
    monkeypatch.setitem(sys.modules, "sounddevice", device)
    (one,) = AudioCorpus("microphone", seconds=0.3)
    assert one.duration == 0.1
    assert reading.read_audio(one.audio).unique().tolist() == [0.5]

    def none(*_: object, **__: object) -> None:
        raise RuntimeError("Error querying device -1")

    monkeypatch.setattr(device, "RawInputStream", none)
    with pytest.raises(AudioError, match="there is no microphone to record from: Error querying"):
        AudioCorpus("microphone", seconds=0.3)


def test_no_sounddevice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(AudioError, match=r"audio=microphone needs sounddevice .*pip install"):
        AudioCorpus("microphone")


@pytest.mark.parametrize(
    ("audio", "error", "message"),
    [
        ("", ConfigError, "audio must name"),
        ([], ConfigError, "audio must name"),
        ("no/such.wav", ManifestError, "such.wav does not exist"),
        ("empty.txt", ManifestError, "lists no recording"),
        ("binary.lst", ManifestError, "is not UTF-8"),
    ],
)
def test_what_is_no_source(
    tmp_path: Path, audio: str | list[str], error: type[SpeechError], message: str
) -> None:
    (tmp_path / "empty.txt").write_text("# nothing\n")
    (tmp_path / "binary.lst").write_bytes(b"\xff\xfe\xfa")
    place = str(tmp_path / audio) if audio and isinstance(audio, str) else audio
    with pytest.raises(error, match=message):
        AudioCorpus(place)


def test_standard_input_that_gives_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Terminal(io.BytesIO):
        def isatty(self) -> bool:
            return True

    for stream, message in (
        (Terminal(), "is a terminal: pipe"),
        (io.BytesIO(), "without a sample"),
    ):
        monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=stream))
        with pytest.raises(AudioError, match=message):
            AudioCorpus("-")
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(b"ab")))
    with pytest.raises(ConfigError, match="rate must be positive, but is 0"):
        AudioCorpus("-", rate=0)
    assert list((tmp_path / "recorded").glob("*.wav")) == []
