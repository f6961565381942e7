"""Names of any kind, of recordings and of what lists them: nothing leaves its folder."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from deepspeech2.audio.reading import read_audio
from deepspeech2.datasets import Corpus, DirectoryCorpus, LibriSpeechCorpus, ManifestCorpus
from deepspeech2.files import plain_name, safe_name
from tests.test_files import NAMES

NOT_UTF8 = os.fsdecode(b"caf\xe9-\xff")
needs_bytes = pytest.mark.skipif(
    sys.platform in ("darwin", "win32"), reason="file names are Unicode there"
)


def record(path: Path) -> None:
    soundfile.write(os.fsencode(path), np.full(1600, 0.1), 16000, format="WAV")


def check(corpus: Corpus) -> None:
    assert {item.text for item in corpus} == {"one", "two"}
    assert all(item.id == safe_name(item.id) for item in corpus)
    for item in corpus:
        item.id.encode()  # no half of a character
        assert len(read_audio(item.audio)) == 1600


@needs_bytes
def test_names_that_are_not_utf_8(tmp_path: Path) -> None:
    """In folders, in LibriSpeech's layout and as folders of it; they are heard as any other."""
    folder = tmp_path / "plain" / NOT_UTF8
    folder.mkdir(parents=True)
    for name, text in ((NOT_UTF8, "one"), ("good", "two")):
        record(folder / f"{name}.wav")
        (folder / f"{name}.txt").write_text(text, "utf-8")
    check(DirectoryCorpus(tmp_path / "plain"))
    chapter = tmp_path / "part" / NOT_UTF8 / "2"
    chapter.mkdir(parents=True)
    for name in (NOT_UTF8, "1-2-0000", "1-2-0001"):
        record(chapter / f"{name}.wav")
    (chapter / "1-2.trans.txt").write_text("1-2-0000 one\n1-2-0001 two\n", "utf-8")
    for _ in range(2):  # the second time from the index
        corpus = LibriSpeechCorpus("part", tmp_path, index_dir=tmp_path / "index")
        check(corpus)
        assert [each.reason for each in corpus.exclusions] == ["no transcript of its own"]


@settings(max_examples=200)
@given(names=st.lists(NAMES.filter(bool), min_size=2, max_size=5, unique=True))
def test_ids_of_a_manifest_are_names_of_files(
    names: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("names")
    rows = [{"audio_filepath": "a.wav", "duration": 1, "id": name} for name in names]
    manifest = place / "...jsonl"
    manifest.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "ascii")
    corpus = ManifestCorpus(manifest)
    assert len({item.id for item in corpus}) == len(names)
    for item in corpus:
        assert plain_name(item.id, "id") == item.id
    assert safe_name(corpus.name) not in ("", ".", "..")
