"""Tables as programs write them, and messages for those that are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from deepspeech2.datasets import TableCorpus
from deepspeech2.datasets.corpus import Exclusion
from deepspeech2.errors import ConfigError, ManifestError
from tests.datasets.toy_librispeech import contents, librispeech, write_librispeech


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def rows(corpus: TableCorpus) -> list[tuple[Any, ...]]:
    return [(x.id, x.audio.name, x.duration, x.text, x.offset, x.speaker) for x in corpus]


def test_columns_are_found_by_their_names(tmp_path: Path) -> None:
    write(
        tmp_path / "t.csv",
        "Sentence,path,client_id,start,end,lang\n"
        '"one, ""two""",x/a.wav,ann,0.5,2,en\n'
        "three,x/b.wav,,,1.25,en\n",
    )
    corpus = TableCorpus("t.csv", tmp_path)
    assert rows(corpus) == [
        ("a", "a.wav", 1.5, 'one, "two"', 0.5, "ann"),
        ("b", "b.wav", 1.25, "three", 0.0, None),
    ]
    assert corpus[0].audio == tmp_path / "x/a.wav"
    assert (corpus.name, corpus.exclusions) == ("t", ())


def test_columns_are_named(tmp_path: Path) -> None:
    write(tmp_path / "t.csv", "take;file;text;raw;duration\nk1;a;;Hello;2\nk2;b.flac;bye;Bye!;3\n")
    corpus = TableCorpus(
        tmp_path / "t.csv",
        columns={"id": "take", "text": ["text", 4], "speaker": None},
        audio_dir="clips",
        suffix=".wav",
    )
    assert rows(corpus) == [
        ("k1", "a.wav", 2.0, "Hello", 0.0, None), ("k2", "b.flac", 3.0, "bye", 0.0, None),
    ]  # fmt: skip
    assert corpus[0].audio.parent == tmp_path / "clips"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize(("end", "delimiter"), [("\n", ","), ("\r\n", ";"), ("\r\n", "\t")])
def test_as_spreadsheets_save_them(tmp_path: Path, encoding: str, end: str, delimiter: str) -> None:
    cells = [
        ["audio", "text", "duration"],
        ["ü.wav", "größer", "1"],
        ["", "", ""],
        ["b.wav", "", "2"],
    ]
    table = "".join(delimiter.join(row) + end for row in cells)
    write(tmp_path / "t.csv", table, encoding)
    option = {"encoding": "cp1252"} if encoding == "cp1252" else {}
    assert rows(TableCorpus(tmp_path / "t.csv", **option)) == [
        ("ü", "ü.wav", 1.0, "größer", 0.0, None), ("b", "b.wav", 2.0, None, 0.0, None),
    ]  # fmt: skip


def test_quotation_marks_of_tsv_are_text(tmp_path: Path) -> None:
    write(tmp_path / "t.tsv", 'audio\ttext\tduration\na.wav\t"yes, he said\t1\n')
    assert TableCorpus(tmp_path / "t.tsv")[0].text == '"yes, he said'


def test_ljspeech(tmp_path: Path) -> None:
    """id|transcription|normalised transcription, no quoting, recordings in wavs."""
    write(tmp_path / "metadata.csv", 'LJ001-0001|"In 1|"In one\nLJ001-0002|only one|\n')
    for number in (1, 2):
        (tmp_path / "wavs").mkdir(exist_ok=True)
        soundfile.write(tmp_path / f"wavs/LJ001-000{number}.wav", np.zeros(22050 * number), 22050)
    corpus = TableCorpus(
        "metadata.csv", tmp_path, audio_dir="wavs", columns={"audio": 1, "text": [3, 2]},
        header=False, delimiter="|", quoting=False, suffix=".wav",
    )  # fmt: skip
    assert [(x.id, x.text, x.duration) for x in corpus] == [
        ("LJ001-0001", '"In one', 1.0), ("LJ001-0002", "only one", 2.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", None),
        (b",text,1,0", "the cell of the recording is empty"),
        (b"a.wav,text", "has 2 cells, but column 4 is needed"),
        (b"a.wav,one,two,1,0", "has 5 cells, but the header has 4"),
        (b"a.wav,text,1;5,0", "duration must be a number of seconds, but is '1;5'"),
        (b"a.wav,text,nan,0", "duration must be a number of seconds, but is 'nan'"),
        (b"a.wav,text,-1,0", "duration must be positive, but is -1"),
        (b"a.wav,text,1,-2", "start must not be negative, but is -2"),
        (b"a.wav,t\xe4xt,1,0", "not UTF-8: set encoding, as in cp1252"),
        (b'a.wav,"te"xt,1,0', "wrong quotation marks (',' expected after '\"')"),
    ],
)
def test_wrong_rows_are_named(tmp_path: Path, line: bytes, reason: str | None) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b'audio,text,duration,start\nb.wav,"two\nlines",1,0\n' + line + b"\n")
    corpus = TableCorpus(path)
    assert [x.text for x in corpus] == ["two\nlines"]
    expected = () if reason is None else (Exclusion("t.csv, line 4", reason),)
    assert corpus.exclusions == expected
    if reason is not None:
        path.write_bytes(b"audio,text,duration,start\n" + line + b"\n")
        with pytest.raises(
            ManifestError, match="is no table of recordings: 1 of 1 lines are wrong"
        ):
            TableCorpus(path)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a,b\n1,2\n", {}, "has no column of recordings, .* its columns are a, b, so name one"),
        ("a,b\n", {"header": False}, "it has no header, so name one, as columns.audio=NAME"),
        ("a,b\n", {"columns": {"audio": "c"}}, "has no column 'c', which columns.audio names"),
        ("a,b\n", {"columns": {"audio": 3}}, "has no column 3"),
        ("path,file\n", {}, "path and file may each be the audio_filepath"),
        ('audio\n"a\nb\nc\n', {}, "line 2: a quotation mark is never closed"),
        ("", {}, "has no column of recordings"),
        ("audio\n", {}, "contains no usable utterance"),
        ("audio\na\n", {"columns": {"sound": 1}}, "columns takes audio, .* but not sound"),
        ("audio\na\n", {"delimiter": ", "}, "delimiter must be one character"),
        ("audio\na\n", {"encoding": "utf-9"}, "encoding='utf-9' is unknown"),
    ],
)
def test_tables_that_cannot_be_read(
    tmp_path: Path, text: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises((ManifestError, ConfigError), match=message):
        TableCorpus(write(tmp_path / "t.csv", text), **options)


def test_a_missing_table_and_a_missing_recording(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"lost\.csv does not exist"):
        TableCorpus("lost.csv", tmp_path)
    corpus = TableCorpus(write(tmp_path / "t.csv", "audio,text\nlost.wav,a\n"))
    assert [(each.name, each.reason) for each in corpus.exclusions] == [
        ("lost.wav", "does not exist")
    ]


def test_librispeech_through_a_table(tmp_path: Path) -> None:
    part = write_librispeech(tmp_path)
    table = "id,audio,text\n" + "".join(
        f"{x.id},{x.audio.relative_to(part)},{x.text}\n" for x in librispeech(tmp_path)
    )
    assert contents(TableCorpus(write(part / "t.csv", table))) == contents(librispeech(tmp_path))
