"""Data folders as Kaldi's documentation shows them, written here in small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from deepspeech2.audio.reading import read_utterance
from deepspeech2.datasets import KaldiCorpus
from deepspeech2.errors import ManifestError

COMMAND = "sph2pipe -f wav -p -c 1 talks/a.sph |"


def write(folder: Path, **files: str) -> Path:
    """Write files by name, with "." for "_", and two recordings."""
    folder.mkdir(exist_ok=True)
    tone = np.sin(np.arange(48000) / 10)
    for name in ("a.wav", "b.wav"):
        soundfile.write(folder / name, 0.4 * tone, 16000)
    for name, content in {"wav_scp": "a a.wav\nb b.wav\n", **files}.items():
        path = folder / name.replace("wav_scp", "wav.scp")
        path.write_text(content, encoding="utf-8")
    return folder


def test_a_folder_with_segments(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "train",
        segments="ann-1 a 0.5 1.75\nann-2 a 2.00 -1\nbob-1\tb\t0\t1\n",
        text="ann-1 HELLO  THERE\nann-2 YES\nbob-1 Ünü\n",
        utt2spk="ann-1 ann\nann-2 ann\nbob-1 bob\n",
        spk2utt="ann ann-1 ann-2\nbob bob-1\n",
    )
    corpus = KaldiCorpus(folder)
    found = [(x.id, x.audio, x.offset, x.duration, x.text, x.speaker) for x in corpus]
    assert found == [
        ("ann-1", folder / "a.wav", 0.5, 1.25, "HELLO  THERE", "ann"),
        ("ann-2", folder / "a.wav", 2.0, 1.0, "YES", "ann"),
        ("bob-1", folder / "b.wav", 0.0, 1.0, "Ünü", "bob"),
    ]
    assert (corpus.name, corpus.exclusions) == ("train", ())
    assert [x.id for x in KaldiCorpus(folder, exclude_speakers=["ann"])] == ["bob-1"]


def test_a_folder_of_recordings_alone(tmp_path: Path) -> None:
    """Without texts and speakers, as for decoding; relative paths count from where Kaldi runs."""
    write(tmp_path)
    data = write(tmp_path / "data", wav_scp=f"x data/a.wav\ny {tmp_path / 'b.wav'}\n")
    found = [(x.id, x.audio.name, x.duration, x.text, x.speaker) for x in KaldiCorpus(data, "..")]
    assert found == [("x", "a.wav", 3.0, None, None), ("y", "b.wav", 3.0, None, None)]
    with pytest.raises(ManifestError, match=r"data/a\.wav does not exist: .*, and set audio_dir"):
        KaldiCorpus(write(tmp_path / "data", wav_scp="x data/a.wav\n"))


def test_sides_of_a_call_in_one_file(tmp_path: Path) -> None:
    sides = {"call-A": "call A", "call-B": "call B", "b": "b B"}
    folder = write(
        tmp_path,
        wav_scp="call-A call.wav\ncall-B call.wav\nb b.wav\n",
        reco2file_and_channel="".join(f"{name} {rest}\n" for name, rest in sides.items()),
    )
    tone = np.sin(np.arange(16000) / 10)
    soundfile.write(folder / "call.wav", np.stack([0.1 * tone, 0.5 * tone], axis=1), 16000)
    first, second, alone = KaldiCorpus(folder)
    assert (first.channel, second.channel, alone.channel) == (1, 2, None)
    assert read_utterance(second, 16000).max() == pytest.approx(0.5, abs=1e-3)
    assert read_utterance(alone, 16000).max() == pytest.approx(0.4, abs=1e-3)


def test_commands_are_refused_in_one_sentence(tmp_path: Path) -> None:
    ran = f"x touch {tmp_path / 'ran'} |\n"
    with pytest.raises(ManifestError) as caught:
        KaldiCorpus(write(tmp_path, wav_scp=f"a {COMMAND}\nb {COMMAND}\n{ran}"))
    message = str(caught.value)
    assert "3 of 3 lines are wrong (each: the recording is a command (it ends in |)" in message
    assert "wav-copy 'COMMAND |' FILE" in message
    assert message.count("command is run") == 1
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("files", "name", "reason"),
    [
        ({"wav_scp": f"a a.wav\nb b.wav\nc {COMMAND}\n"}, "wav.scp, line 3", "the recording is a"),
        ({"wav_scp": "a a.wav\nb b.wav\nc x.ark:10\n"}, "wav.scp, line 3", "must name a file of"),
        ({"wav_scp": "a a.wav\nb b.wav\nc\n"}, "wav.scp, line 3", "must name a file of audio, but"),
        ({"wav_scp": "a a.wav\nb b.wav\na a.wav\n"}, "wav.scp, line 3", "a is there a second time"),
        ({"segments": "u a 0 1\nv a 1 x\n"}, "segments, line 2", "must be ID RECORDING START END"),
        ({"segments": "u a 0 1\nv a 1\n"}, "segments, line 2", "must be ID RECORDING START END"),
        ({"segments": "u a 0 1\nv a 2 1\n"}, "segments, line 2", "goes from 2 s to 1 s"),
        ({"segments": "u a 0 1\nv c 1 2\n"}, "segments, line 2", "its recording c is not in wav"),
        ({"text": "a YES\n"}, "wav.scp, line 2 (b)", "text has no transcript of it"),
        ({"text": "a YES\nb\n"}, "wav.scp, line 2 (b)", "text has no transcript of it"),
        ({"text": "a YES\nb NO\nc NO\n"}, "text, line 3 (c)", "not in wav.scp"),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, files: dict[str, str], name: str, reason: str
) -> None:
    corpus = KaldiCorpus(write(tmp_path, **files))
    (fault,) = corpus.exclusions
    assert fault.name == name
    assert fault.reason.startswith(reason)


def test_bytes_that_are_not_utf_8(tmp_path: Path) -> None:
    folder = write(tmp_path, text="a YES\nb NO\n")
    (folder / "text").write_bytes(b"a YES\nb \xff\n")
    first, second = KaldiCorpus(folder).exclusions
    assert (first.name, first.reason[:9]) == ("text, line 2", "not UTF-8")
    assert second.reason == "text has no transcript of it"


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"wav\.scp does not exist"):
        KaldiCorpus(tmp_path)
