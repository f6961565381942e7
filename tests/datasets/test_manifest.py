"""Manifests as people write them, and messages for those that are wrong."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath
from types import FrameType
from typing import Any

import numpy as np
import pytest
import soundfile

from deepspeech2.datasets.corpus import Exclusion, plain_ids
from deepspeech2.datasets.manifest import ManifestCorpus
from deepspeech2.errors import ManifestError
from deepspeech2.types import Utterance


def write(path: Path, *rows: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def test_every_key(tmp_path: Path) -> None:
    manifest = write(
        tmp_path / "sub/train.jsonl",
        {"audio_filepath": "x/a.wav", "duration": 2, "text": "HELLO", "speaker": 7, "lang": "en"},
        {"audio_filepath": "x/b.wav", "duration": 1.5, "offset": 0.5, "id": "take/2"},
    )
    first, second = ManifestCorpus(manifest)
    assert (first.id, first.duration, first.text, first.speaker) == ("a", 2.0, "HELLO", "7")
    assert first.audio == tmp_path / "sub/x/a.wav"
    assert (second.id, second.offset, second.text) == ("take-2", 0.5, None)


def test_name_and_data_dir(tmp_path: Path) -> None:
    write(tmp_path / "sub/train.jsonl", {"audio_filepath": "a.wav", "duration": 2})
    assert ManifestCorpus("sub/train.jsonl", tmp_path).name == "train"
    corpus = ManifestCorpus("sub/train.jsonl", str(tmp_path), name="mine")
    assert corpus.name == "mine"
    assert corpus[0].audio == tmp_path / "sub/a.wav"


def test_mark_blank_lines_and_windows_line_ends(tmp_path: Path) -> None:
    row = '{"audio_filepath": "ü.wav", "duration": 1, "text": "one\u2028line"}'
    (tmp_path / "m.jsonl").write_bytes(f"\ufeff{row}\r\n\r\n  \n".encode())
    (item,) = ManifestCorpus(tmp_path / "m.jsonl")
    assert (item.id, item.text) == ("ü", "one\u2028line")


def test_missing_durations_are_read_from_the_files(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(32000), 16000)
    manifest = write(
        tmp_path / "m.jsonl",
        {"audio_filepath": "a.wav"},
        {"audio_filepath": "a.wav", "offset": 0.5, "duration": None},
        {"audio_filepath": "a.wav", "offset": 2.5},
        {"audio_filepath": "lost.wav"},
        {"audio_filepath": "not-looked-at.wav", "duration": 3},
    )
    corpus = ManifestCorpus(manifest)
    assert [(item.id, item.duration) for item in corpus] == [
        ("a", 2.0),
        ("a-2", 1.5),
        ("not-looked-at", 3.0),
    ]
    assert corpus.exclusions == (
        Exclusion(
            "a.wav",
            "ends before the offset 2.5 s",
            Utterance("a-3", tmp_path / "a.wav", 0.0, offset=2.5),
        ),
        Exclusion("lost.wav", "does not exist", Utterance("lost", tmp_path / "lost.wav", 0.0)),
    )


def test_a_list_in_one_piece_and_packed(tmp_path: Path) -> None:
    rows = [{"audio_filepath": f"{name}.wav", "duration": 1} for name in "abc"]
    for indent in (None, 2):
        (tmp_path / "m.json").write_text(json.dumps([*rows, {"text": 5}], indent=indent))
        corpus = ManifestCorpus("m.json", tmp_path)
        assert [item.id for item in corpus] == ["a", "b", "c"]
        assert [item.name for item in corpus.exclusions] == ["m.json, item 4"]
    (tmp_path / "m.json").write_text("[1, 2]")
    with pytest.raises(ManifestError, match=r"2 of 2 items are wrong \(item 1: must be an object"):
        ManifestCorpus("m.json", tmp_path)
    packed = gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode())
    (tmp_path / "m.jsonl.gz").write_bytes(packed)
    assert len(ManifestCorpus("m.jsonl.gz", tmp_path)) == 3


def test_equal_stems_take_their_folders(tmp_path: Path) -> None:
    rows = [{"audio_filepath": f"{name}/a.wav", "duration": 1} for name in ("x", "y")]
    assert [item.id for item in ManifestCorpus(write(tmp_path / "m", *rows))] == ["x-a", "y-a"]


def test_filters(tmp_path: Path) -> None:
    rows = [
        {"audio_filepath": f"{index}.wav", "duration": index, "text": "A" * index}
        for index in range(1, 9)
    ]
    manifest = write(tmp_path / "m", *rows)
    corpus = ManifestCorpus(manifest, limit=2, max_audio_length=6, max_text_length=5)
    assert [item.id for item in corpus] == ["1", "2"]
    assert [item.name for item in corpus.exclusions] == ["6", "7", "8", "3 utterances"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not JSON"),
        ("[1]", "must be an object, but is [1]"),
        (
            "{}",
            "has no audio_filepath, nor audio_path, audio, path, file, wav: its keys are nothing",
        ),
        ('{"audio_filepath": null}', "audio_filepath must be a path, but is null"),
        ('{"audio_filepath": ""}', 'audio_filepath must be a path, but is ""'),
        ('{"audio_filepath": "a", "duration": "2"}', "duration must be a number of seconds"),
        ('{"audio_filepath": "a", "duration": true}', "duration must be a number of seconds"),
        ('{"audio_filepath": "a", "duration": NaN}', "duration must be a number of seconds"),
        ('{"audio_filepath": "a", "duration": 0}', "duration must be positive, but is 0"),
        ('{"audio_filepath": "a", "offset": -1}', "offset must not be negative, but is -1"),
        ('{"audio_filepath": "a", "text": 5}', "text must be a string, but is 5"),
        ('{"audio_filepath": "a", "speaker": []}', "speaker must be a string, but is []"),
        ('{"audio_filepath": "a", "id": ""}', 'id must be a string, but is ""'),
    ],
)
def test_malformed_lines_are_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "m.jsonl"
    good = '{"audio_filepath": "a.wav", "duration": 1}'
    path.write_text(f"{good}\n\n{line}\n")
    corpus = ManifestCorpus(path)
    assert [item.id for item in corpus] == ["a"]
    (fault,) = corpus.exclusions
    assert fault.name == "m.jsonl, line 3"
    assert fault.reason.startswith(message)
    path.write_bytes(f"{good}\n{line}\n".encode() + b'{"audio_filepath": "\xff"}\n')
    with pytest.raises(ManifestError) as caught:
        ManifestCorpus(path)
    assert str(caught.value).startswith(
        f"{path} is no manifest: 2 of 3 lines are wrong (line 2: {message}"
    )
    assert str(caught.value).endswith("; line 3: not UTF-8 (byte 20))")


@pytest.mark.parametrize("audio", ["audio_path", "audio", "path", "file"])
@pytest.mark.parametrize("text", ["sentence", "transcript", "transcription", "normalized_text"])
@pytest.mark.parametrize("speaker", ["client_id", "speaker_id"])
def test_keys_of_other_programs(tmp_path: Path, audio: str, text: str, speaker: str) -> None:
    row = {audio: "a.wav", "duration": 1, text: "one", speaker: 84}
    (found,) = ManifestCorpus(write(tmp_path / "m.jsonl", row))
    assert found.audio == tmp_path / "a.wav"
    assert (found.text, found.speaker) == ("one", "84")


def test_keys_of_which_several_may_be_meant(tmp_path: Path) -> None:
    rows = [{"file": "a.wav", "path": "b.wav", "duration": 1}] * 3
    with pytest.raises(ManifestError) as caught:
        ManifestCorpus(write(tmp_path / "m.jsonl", *rows))
    assert str(caught.value).endswith(
        "3 of 3 lines are wrong (each: path and file may each be the audio_filepath: call the one"
        " that is meant audio_filepath)"
    )
    row = {**rows[0], "audio_filepath": "c.wav", "audio": {"array": []}}
    (found,) = ManifestCorpus(write(tmp_path / "m.jsonl", row))
    assert found.audio.name == "c.wav"


def test_keys_that_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"nor audio_path, .*: its keys are wav_name, words"):
        ManifestCorpus(write(tmp_path / "m.jsonl", {"wav_name": "a.wav", "words": "one"}))


def test_separators_of_windows(tmp_path: Path) -> None:
    """Are read as such where that file exists, and else the line is named."""
    for name in ("x/a.wav", "b\\c.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / name, np.zeros(16000), 16000)
    names = ("x\\a.wav", "b\\c.wav", "C:\\lost\\d.wav")
    corpus = ManifestCorpus(
        write(tmp_path / "m.jsonl", *({"audio_filepath": name, "duration": 1} for name in names))
    )
    assert [item.audio for item in corpus] == [tmp_path / "x" / "a.wav", tmp_path / "b\\c.wav"]
    (fault,) = corpus.exclusions
    assert fault.name == "m.jsonl, line 3"
    assert "C:\\lost\\d.wav does not exist" in fault.reason


def test_a_moved_corpus_has_the_same_ids(tmp_path: Path) -> None:
    ids = []
    for place in (Path("/home/alice/corpus"), Path("/mnt/data")):
        names = [place / "train" / speaker / "000.wav" for speaker in ("spk0", "spk1")]
        rows = [{"audio_filepath": str(name), "duration": 1} for name in names]
        ids.append([item.id for item in ManifestCorpus(write(tmp_path / "m.jsonl", *rows))])
    assert ids == [["spk0-000", "spk1-000"]] * 2


def test_what_is_no_manifest(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty").touch()
    for name, message in {
        "missing": "does not exist: check manifest",
        "binary": r"line 1: not UTF-8 \(byte 0\)",
        "empty": "contains no usable utterance",
        "": "cannot be read: Is a directory",
    }.items():
        with pytest.raises(ManifestError, match=message):
            ManifestCorpus(tmp_path / name)


def test_an4(speech_data: Path) -> None:
    corpus = ManifestCorpus("test.jsonl", speech_data / "an4")
    assert len(corpus) == 130
    assert all(item.audio.is_file() and item.text for item in corpus)


class Counting(list[str]):
    """A list that counts how often it is gone through."""

    passes = 0

    def __iter__(self) -> Iterator[str]:
        self.passes += 1
        return super().__iter__()


def test_speakers_are_not_gathered_anew_for_each_line(tmp_path: Path) -> None:
    passes = []
    for n_lines in (20, 40):
        manifest = write(
            tmp_path / "m.jsonl",
            *({"audio_filepath": f"{n}.wav", "duration": 1, "speaker": n} for n in range(n_lines)),
        )
        left_out = Counting(["3", "5"])
        corpus = ManifestCorpus(manifest, exclude_speakers=left_out)
        assert len(corpus) == n_lines - 2
        passes.append(left_out.passes)
    assert passes[0] == passes[1] < 5


def lines_run(function: Callable[[], Any]) -> int:
    """How many lines of Python a call runs."""
    count = 0

    def tracer(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return tracer

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        function()
    finally:
        sys.settrace(before)
    return count


def test_many_stretches_of_one_recording_take_no_more_than_their_number() -> None:
    def work(n_lines: int) -> int:
        return lines_run(lambda: plain_ids([("talk", PurePath("x/talk.wav"))] * n_lines))

    assert plain_ids([("a", PurePath("a.wav"))] * 3 + [("a-3", PurePath("b.wav"))]) == [
        "a", "a-2", "a-4", "a-3",
    ]  # fmt: skip
    assert work(400) < 2.5 * work(200)
