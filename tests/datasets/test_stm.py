"""STM files as sclite's manual describes them and TED-LIUM has them, written here in small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from deepspeech2.audio.reading import read_utterance
from deepspeech2.datasets import StmCorpus
from deepspeech2.errors import ManifestError

TALK = """\
;; a comment
AaronHuey_2010X 1 inter_segment_gap 0 0.5 <o,f0,unknown> ignore_time_segment_in_scoring
AaronHuey_2010X 1 AaronHuey_2010X 0.5 1.73 <o,f0,male> i 'm here to(2) show {NOISE} you <sil>
AaronHuey_2010X 1 AaronHuey_2010X 1.73 2.5 <F0_M> they <unk> me (AaronHuey_2010X-1.73-2.5-<F0_M>)
AaronHuey_2010X 1 AaronHuey_2010X 2.5 2.9 <NA> my photographs (AaronHuey_2010X-2.5-2.9-<F0_M>)
"""


def record(path: Path, channels: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tone = np.sin(np.arange(48000) / 10)
    loud = np.stack([0.1 * tone, 0.5 * tone][-channels:], axis=1)
    soundfile.write(path, loud, 16000, "PCM_16", format="NIST")
    return path


def one(folder: Path, line: str, name: str = "a") -> StmCorpus:
    record(folder / f"{name}.sph", channels=2)
    (folder / "test.stm").write_text(f"{line}\n{name} A ann 0 1 <O> yes\n", encoding="utf-8")
    return StmCorpus("test.stm", folder)


def test_a_release_of_ted_lium(tmp_path: Path) -> None:
    sound = record(tmp_path / "train/sph/AaronHuey_2010X.sph")
    (tmp_path / "train/stm").mkdir()
    (tmp_path / "train/stm/AaronHuey_2010X.stm").write_text(TALK)
    corpus = StmCorpus("train/stm", tmp_path, "train/sph", name="train")
    first, second = corpus
    assert (first.audio, first.offset, first.duration) == (sound, 0.5, 1.23)
    assert (first.text, first.speaker) == ("i'm here to show you", "AaronHuey_2010X")
    assert (second.id, second.text) == ("AaronHuey_2010X-0000250-0000290", "my photographs")
    assert len(read_utterance(second, 16000)) == 6400
    assert [(each.name, each.reason) for each in corpus.exclusions] == [
        ("1 segment", "ignore_time_segment_in_scoring"),
        ("1 segment", "contains <unk>, a word that nobody wrote down"),
    ]


def test_channels_are_letters_or_numbers(tmp_path: Path) -> None:
    first, second = one(tmp_path, "a B bob 0 1.5 no")
    assert (first.channel, first.text, second.channel, second.text) == (2, "no", 1, "yes")
    assert read_utterance(first, 16000).max() == pytest.approx(0.5, abs=1e-3)
    assert read_utterance(second, 16000).max() == pytest.approx(0.1, abs=1e-3)


@pytest.mark.parametrize(
    ("transcript", "text"),
    [
        ("I { UM / UH / @ } SEE", "I UM SEE"),
        ("{ YES / { YEAH / YEP } } SIR", "YES SIR"),
        ("{ @ / WELL } NO", "NO"),
        ("(%HESITATION) IT 'S FINE", "IT'S FINE"),
        ("<o,f0,male> GET 'EM", "GET 'EM"),
        ("MAIL a@b.c", "MAIL a@b.c"),
    ],
)
def test_words_of_a_transcript(tmp_path: Path, transcript: str, text: str) -> None:
    assert one(tmp_path, f"a A ann 0 1 {transcript}")[0].text == text


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a A ann 0", "has 4 words, but begins with FILE CHANNEL SPEAKER BEGIN END"),
        ("a A ann 0 x yes", "BEGIN and END must be seconds, but are 0 and x"),
        ("a A ann 2 1 yes", "goes from 2 s to 1 s: the times must rise from 0"),
        ("b A ann 0 1 yes", "{folder} has no recording b: check it, and set audio_dir"),
    ],
)
def test_wrong_lines_are_named(tmp_path: Path, line: str, reason: str) -> None:
    (fault,) = one(tmp_path, line).exclusions
    assert fault.name == "test.stm, line 1"
    assert fault.reason.startswith(reason.replace("{folder}", str(tmp_path)))


@pytest.mark.parametrize(
    ("line", "reason"), [("a A ann 0 1", "no word"), ("a A ann 0 1 <O> {NOISE}", "no word")]
)
def test_segments_without_a_word(tmp_path: Path, line: str, reason: str) -> None:
    (fault,) = one(tmp_path, line).exclusions
    assert (fault.name, fault.reason) == ("1 segment", reason)


def test_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"contains no \*\.stm: check stm and data_dir"):
        StmCorpus(".", tmp_path)
    (tmp_path / "a.stm").write_text(TALK)
    with pytest.raises(ManifestError, match=r"sph is no folder: set audio_dir"):
        StmCorpus("a.stm", tmp_path, "sph")
    with pytest.raises(ManifestError, match=r"is no STM file: 4 of 4 lines are wrong \(each: "):
        StmCorpus("a.stm", tmp_path)
