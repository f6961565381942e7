"""Common Voice as its archives unpack, written here in small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from deepspeech2.datasets import CommonVoiceCorpus, TableCorpus
from deepspeech2.errors import ManifestError

HEADER = (
    "client_id\tpath\tsentence_id\tsentence\tsentence_domain\tup_votes\tdown_votes\tage\tgender\t"
    "accents\tvariant\tlocale\tsegment\n"
)


def write(folder: Path, *rows: tuple[str, str, str], part: str = "train") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "clips").mkdir(exist_ok=True)
    lines = [f"{who}\t{clip}\tx\t{text}\t\t2\t0\t\t\t\t\ten\t\n" for who, clip, text in rows]
    (folder / f"{part}.tsv").write_text(HEADER + "".join(lines), encoding="utf-8")
    return folder


def test_durations_spare_opening_the_clips(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "en",
        ("a" * 128, "common_voice_en_1.mp3", '"Hello", she said.'),
        ("b" * 128, "common_voice_en_2.mp3", "Bye"),
        ("b" * 128, "common_voice_en_3.mp3", " "),
        ("b" * 128, "common_voice_en_4.mp3", "lost"),
    )
    for number in (1, 2, 3):
        (folder / f"clips/common_voice_en_{number}.mp3").write_bytes(b"never opened")
    (folder / "clip_durations.tsv").write_text(
        "clip\tduration[ms]\ncommon_voice_en_1.mp3\t1500\ncommon_voice_en_2.mp3\t2040\n"
    )
    corpus = CommonVoiceCorpus(folder)
    assert [(x.id, x.duration, x.text, x.speaker) for x in corpus] == [
        ("common_voice_en_1", 1.5, '"Hello", she said.', "a" * 128),
        ("common_voice_en_2", 2.04, "Bye", "b" * 128),
    ]
    assert [(each.name, each.reason) for each in corpus.exclusions] == [
        ("train.tsv, line 4 (common_voice_en_3.mp3)", "empty sentence"),
        ("train.tsv, line 5 (common_voice_en_4.mp3)", "the clip is missing in clips"),
    ]


def test_clips_are_opened_where_no_table_has_their_durations(tmp_path: Path) -> None:
    folder = write(tmp_path / "en", ("a", "one", "yes"), part="validated")
    soundfile.write(folder / "clips/one.mp3", np.zeros(32000), 16000)
    (item,) = CommonVoiceCorpus(folder, "validated")
    assert (item.id, item.audio.name) == ("one", "one.mp3")
    assert item.duration == pytest.approx(2, abs=0.2)  # MP3 pads by up to two frames


def test_wrong_folders_and_tables(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"train\.tsv does not exist"):
        CommonVoiceCorpus(tmp_path)
    (tmp_path / "train.tsv").write_text("a\tb\n")
    with pytest.raises(ManifestError, match="has no column client_id, path, sentence"):
        CommonVoiceCorpus(tmp_path)
    write(tmp_path, ("a", "1.mp3", "yes"))
    (tmp_path / "clips").rmdir()
    with pytest.raises(ManifestError, match="clips cannot be listed"):
        CommonVoiceCorpus(tmp_path)
    write(tmp_path, ("a", "1.mp3", "yes"))
    (tmp_path / "clips/1.mp3").touch()
    (tmp_path / "clip_durations.tsv").write_text("clip\tduration[ms]\n1.mp3\tlong\n")
    with pytest.raises(ManifestError, match=r"clip_durations\.tsv, line 2 is no clip"):
        CommonVoiceCorpus(tmp_path)


def test_the_real_sample_through_a_table(speech_data: Path, tmp_path: Path) -> None:
    """Version 1 was CSV with filename and text; here from the sample's manifest."""
    import json

    lines = (speech_data / "common-voice/dev.jsonl").read_text("utf-8").splitlines()[:20]
    items = [json.loads(line) for line in lines]
    table = tmp_path / "cv-valid-dev.csv"
    table.write_text(
        "filename,text,up_votes\n"
        + "".join(f'{each["audio_filepath"]},"{each["text"]}",1\n' for each in items)
    )
    corpus = TableCorpus(table, audio_dir=speech_data / "common-voice")
    assert [x.text for x in corpus] == [each["text"] for each in items]
    assert [x.duration for x in corpus] == pytest.approx(
        [each["duration"] for each in items], abs=0.01
    )
