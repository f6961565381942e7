"""Folders of recordings in the layouts that people have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from deepspeech2.datasets.corpus import Corpus, Exclusion
from deepspeech2.datasets.directory import DirectoryCorpus, recordings_corpus
from deepspeech2.datasets.index import open_index
from deepspeech2.datasets.librispeech import LibriSpeechCorpus
from deepspeech2.errors import ManifestError
from deepspeech2.types import Utterance
from tests.disks import as_nobody


def record(path: Path, text: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(8000), 16000)
    if text is not None:
        path.with_suffix(".txt").write_text(text)


def texts(corpus: Corpus) -> dict[str, str | None]:
    return {item.id: item.text for item in corpus}


def test_transcripts_beside_the_files_or_none(tmp_path: Path) -> None:
    record(tmp_path / "own/b.flac", " hello\nthere \n")
    record(tmp_path / "own/sub/a.WAV")
    record(tmp_path / "own/silence.ogg", "")
    (tmp_path / "own/readme.md").write_text("ignored")
    corpus = DirectoryCorpus(tmp_path / "own")
    assert corpus.name == "own"
    assert texts(corpus) == {"b": "hello there", "silence": "", "a": None}
    assert corpus.duration == 1.5
    assert corpus.exclusions == ()


def test_what_is_hidden_is_counted(tmp_path: Path) -> None:
    for name in ("a.wav", ".b.wav", "c/._a.wav", ".d/e.wav"):
        record(tmp_path / name, "said")
    (tmp_path / ".notes").touch()
    (tmp_path / ".1.trans.txt").touch()
    expected = Exclusion("4 files and folders", "the name begins with a dot")
    assert DirectoryCorpus(tmp_path).exclusions == (expected,)
    (tmp_path / "1.trans.txt").write_text("a said\n")
    for _ in range(2):  # the second time from the index
        assert open_index(tmp_path, tmp_path / "index", "x")[1][-1] == expected


@pytest.mark.parametrize("suffix", ["", "sub"])
def test_a_folder_of_transcripts(tmp_path: Path, suffix: str) -> None:
    record(tmp_path / "audio/sub/a.wav", "not this")
    record(tmp_path / "audio/b.wav")
    (tmp_path / "texts" / suffix).mkdir(parents=True)
    (tmp_path / "texts" / suffix / "a.txt").write_text("this")
    corpus = DirectoryCorpus(tmp_path / "audio", transcripts=tmp_path / "texts")
    assert texts(corpus) == {"a": "this", "b": None}


def test_audio_beside_transcriptions_is_recognised(tmp_path: Path) -> None:
    record(tmp_path / "own/audio/a.wav")
    (tmp_path / "own/transcriptions").mkdir()
    (tmp_path / "own/transcriptions/a.txt").write_text("said")
    corpus = DirectoryCorpus(tmp_path / "own")
    assert corpus.name == "own"
    assert texts(corpus) == {"a": "said"}


def test_the_layout_of_librispeech_is_recognised(tmp_path: Path) -> None:
    record(tmp_path / "s/1/10/1-10-0000.wav")
    record(tmp_path / "s/1/10/1-10-0001.wav")
    (tmp_path / "s/1/10/1-10.trans.txt").write_text("1-10-0000 SAID\n")
    assert texts(DirectoryCorpus(tmp_path / "s")) == {"1-10-0000": "SAID", "1-10-0001": None}


def test_one_file_is_a_corpus_of_one(tmp_path: Path) -> None:
    record(tmp_path / "a.wav", "said")
    record(tmp_path / "b.wav")
    corpus = DirectoryCorpus(tmp_path / "a.wav")
    assert (corpus.name, texts(corpus)) == ("a", {"a": "said"})


def test_what_cannot_be_read_is_left_out_by_name(tmp_path: Path) -> None:
    record(tmp_path / "sub/a.wav")
    record(tmp_path / "c.wav")
    (tmp_path / "sub/b.wav").write_text("no audio")
    (tmp_path / "sub/b.txt").write_text("said")
    (tmp_path / "c.txt").write_bytes(b"\xff")
    corpus = DirectoryCorpus(tmp_path, name="mine")
    assert (corpus.name, texts(corpus)) == ("mine", {"a": None})
    assert corpus.exclusions == (
        Exclusion("c.wav", f"its transcript {tmp_path / 'c.txt'} is not UTF-8"),
        Exclusion(
            "sub/b.wav",
            "is no audio that libsndfile or FFmpeg can read",
            Utterance("b", tmp_path / "sub/b.wav", 0.0, "said"),
        ),
    )


def test_equal_stems_become_unique_ids(tmp_path: Path) -> None:
    for name in ("x/a.wav", "y/a.wav", "y/a.flac"):
        record(tmp_path / name)
    assert [item.id for item in DirectoryCorpus(tmp_path)] == ["x-a", "y-a", "y-a-2"]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="missing does not exist: give a recording"):
        DirectoryCorpus(tmp_path / "missing")
    with pytest.raises(ManifestError, match="contains no usable utterance"):
        DirectoryCorpus(tmp_path)
    with pytest.raises(ManifestError, match="gone is no folder: check transcripts"):
        DirectoryCorpus(tmp_path, transcripts=tmp_path / "gone")
    (tmp_path / "notes.txt").write_text("text")
    broken = DirectoryCorpus(tmp_path / "notes.txt")  # recognition reports it by its name
    assert not len(broken)
    (exclusion,) = broken.exclusions
    assert "is no audio that libsndfile or FFmpeg can read" in exclusion.reason
    assert exclusion.utterance is not None
    assert exclusion.utterance.audio == tmp_path / "notes.txt"


def test_filters(tmp_path: Path) -> None:
    for name in "abcd":
        record(tmp_path / f"{name}.wav", name * 3 if name == "b" else name)
    corpus = DirectoryCorpus(tmp_path, limit=2, max_text_length=2)
    assert texts(corpus) == {"a": "a", "c": "c"}


def test_a_folder_that_may_not_be_listed_is_named_and_the_rest_goes_on(public: Path) -> None:
    for name in ("1", "2", "3"):
        (public / name).mkdir()
        record(public / name / f"{name}.wav")
        (public / name / "x.trans.txt").write_text(f"{name} one\n")
    (public / "index").mkdir()
    (public / "index").chmod(0o777)
    try:
        for mode in (0, 0o444):  # which lists names that cannot be looked at
            (public / "2").chmod(mode)
            with as_nobody():
                for corpus in (
                    DirectoryCorpus(public),
                    LibriSpeechCorpus(public.name, public.parent, index_dir=public / "index"),
                ):
                    assert texts(corpus) == {"1": "one", "3": "one"}
                    (exclusion,) = corpus.exclusions
                    assert exclusion.name == "2/"
                    assert exclusion.reason == "the folder cannot be listed: Permission denied"
    finally:
        (public / "2").chmod(0o755)
    with as_nobody():  # and the index knows that it can be listed now
        corpus = LibriSpeechCorpus(public.name, public.parent, index_dir=public / "index")
    assert texts(corpus) == {"1": "one", "2": "one", "3": "one"}


def test_a_transcript_that_may_not_be_read_is_named_and_the_rest_goes_on(public: Path) -> None:
    record(public / "a.wav", "one")
    record(public / "b.wav", "two")
    (public / "b.txt").chmod(0)
    with as_nobody():
        corpora = [
            DirectoryCorpus(public),
            recordings_corpus([public / "a.wav", public / "b.wav"], name="given"),
        ]
    for corpus in corpora:
        assert [(each.id, each.text) for each in corpus] == [("a", "one")]
        (exclusion,) = corpus.exclusions
        assert exclusion.name == "b.wav"
        assert "b.txt cannot be read: Permission denied" in exclusion.reason
