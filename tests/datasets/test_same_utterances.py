"""LibriSpeech's utterances are the same to every reader: texts, speakers and samples."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import soundfile

from deepspeech2.audio.reading import read_utterance
from deepspeech2.datasets import Corpus, KaldiCorpus, LhotseCorpus, ManifestCorpus, StmCorpus
from deepspeech2.types import Utterance
from tests.datasets.toy_librispeech import librispeech, write_librispeech
from tests.toy import RATE

Written = Sequence[Utterance]


def kaldi(folder: Path, corpus: Written, *, joined: bool = False) -> Corpus:
    """One file each, or segments of a recording for each speaker."""
    recordings = {each.id: str(each.audio) for each in corpus}
    if joined:
        places, recordings = joined_up(folder, corpus)
        (folder / "segments").write_text(
            "".join(f"{name} {who} {start} {end}\n" for name, who, start, end in places)
        )
    files = {
        "wav.scp": recordings,
        "text": {each.id: each.text for each in corpus},
        "utt2spk": {each.id: each.speaker for each in corpus},
    }
    for name, values in files.items():
        (folder / name).write_text("".join(f"{key} {values[key]}\n" for key in sorted(values)))
    return KaldiCorpus(folder)


def stm(folder: Path, corpus: Written) -> Corpus:
    places, _ = joined_up(folder, corpus)
    lines = [
        f"{who} 1 {who} {start} {end} <o,f0,male> {each.text}\n"
        for each, (_, who, start, end) in zip(corpus, places, strict=True)
    ]
    (folder / "all.stm").write_text("".join(lines))
    return StmCorpus("all.stm", folder)


def joined_up(
    folder: Path, corpus: Written
) -> tuple[list[tuple[str, str, float, float]], dict[str, str]]:
    """A recording of each speaker, and where in it the utterances are."""
    ends: dict[str, int] = {}
    places = []
    for each in corpus:
        who = str(each.speaker)
        samples = soundfile.read(each.audio, dtype="int16")[0]
        path = folder / f"{who}.sph"
        with (
            soundfile.SoundFile(path, "r+")
            if who in ends
            else soundfile.SoundFile(path, "w", RATE, 1, "PCM_16", format="NIST") as file
        ):
            file.seek(0, soundfile.SEEK_END)
            file.write(samples)
        start, ends[who] = ends.get(who, 0), ends.get(who, 0) + len(samples)
        places.append((each.id, who, start / RATE, ends[who] / RATE))
    return places, {who: f"{who}.sph" for who in ends}


def nemo(folder: Path, corpus: Written) -> Corpus:
    rows = [
        {"audio_filepath": str(x.audio), "duration": x.duration, "text": x.text,
         "speaker": x.speaker}
        for x in corpus
    ]  # fmt: skip
    (folder / "all.json").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return ManifestCorpus("all.json", folder)


def lhotse(folder: Path, corpus: Written) -> Corpus:
    recordings = [
        {"id": x.id, "sources": [{"type": "file", "channels": [0], "source": str(x.audio)}]}
        for x in corpus
    ]
    supervisions = [
        {"id": x.id, "recording_id": x.id, "start": 0, "duration": x.duration, "channel": 0,
         "text": x.text, "speaker": x.speaker}
        for x in corpus
    ]  # fmt: skip
    for name, rows in (("recordings", recordings), ("supervisions", supervisions)):
        (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return LhotseCorpus("supervisions.jsonl", folder, recordings="recordings.jsonl")


READERS: dict[str, Callable[[Path, Written], Corpus]] = {
    "kaldi": kaldi,
    "kaldi's segments": lambda folder, corpus: kaldi(folder, corpus, joined=True),
    "stm": stm,
    "nemo": nemo,
    "lhotse": lhotse,
}


@pytest.mark.parametrize("reader", READERS)
def test_librispeech_through_other_readers(tmp_path: Path, reader: str) -> None:
    write_librispeech(tmp_path)
    corpus = librispeech(tmp_path)
    (tmp_path / "other").mkdir()
    found = READERS[reader](tmp_path / "other", corpus)
    assert contents(found) == contents(corpus)
    assert not found.exclusions
    if reader != "stm":  # which has no names
        assert [each.id for each in found] == [each.id for each in corpus]


def contents(corpus: Written) -> list[tuple[str | None, str | None, float, bytes]]:
    return [
        (x.text, x.speaker, round(x.duration, 6), read_utterance(x, RATE).numpy().tobytes())
        for x in corpus
    ]
