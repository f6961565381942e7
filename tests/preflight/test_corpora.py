"""Every fault of a corpus or of a recording has its finding and its remedy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from deepspeech2.datasets.corpus import Corpus, Exclusion
from deepspeech2.extras.checks import (
    Finding,
    check_recordings,
    judge_contents,
    judge_missing,
    judge_overlaps,
    judge_recordings,
    judge_repetitions,
    judge_size,
    judge_transcripts,
    present_and_missing,
)
from deepspeech2.extras.checks.audio_check import clipped_share
from deepspeech2.text import TextEncoder
from deepspeech2.types import Utterance
from tests.toy import RATE, speak


def utterance(name: str, text: str | None = "ab", **more: object) -> Utterance:
    return replace(Utterance(name, Path(f"{name}.wav"), 1.0, text), **more)


def check(finding: Finding, severity: str, found: str, remedy: str) -> None:
    assert finding.severity == severity, finding
    assert found in finding.found
    assert remedy in finding.remedy
    assert bool(remedy) == bool(finding.remedy)


# Transcripts


def transcripts(*items: Utterance, per_second: int = 10) -> list[Finding]:
    def frames(samples: torch.Tensor) -> torch.Tensor:
        return samples * per_second // RATE

    return judge_transcripts("train", Corpus("c", items), TextEncoder(), frames, RATE)


def test_transcripts_that_can_be_learnt() -> None:
    (finding,) = transcripts(utterance("a"), utterance("b", "it's fine"))
    check(finding, "ok", "all can be aligned", "")


def test_unknown_characters_are_counted_and_named() -> None:
    strange = [utterance(f"u{n}", "é3") for n in range(7)]
    fine = [utterance(f"a{n}") for n in range(8)]
    (finding,) = transcripts(*fine, *strange, utterance("b", "é"))
    assert finding.check == "train: unknown characters"
    check(finding, "warning", "8 utterances left out ('é' in 8, '3' in 7)", "text_encoder.alphabet")
    assert finding.found.endswith("u0, u1, u2, u3, u4 and 3 more")
    (finding,) = transcripts(*fine[1:], *strange, utterance("b", "é"))
    check(finding, "error", "8 utterances left out ('é' in 8, '3' in 7)", "text_encoder.alphabet")


def test_what_ctc_cannot_align() -> None:
    # ten frames: "aaaaaa" needs eleven, six letters and a blank between each two
    (finding,) = transcripts(utterance("fits", "aaaaa"), utterance("long", "aaaaaa"))
    assert finding.check == "train: alignment"
    check(finding, "warning", "6 characters need 11 frames, but it has 10): long", "time stride")


def test_no_transcript_is_left() -> None:
    absent, empty = transcripts(utterance("a", None), utterance("b", "..."))
    check(absent, "error", "it has no transcript): a", "Add the transcripts")
    check(empty, "error", "empty after normalisation): b", "Correct the transcripts")


def test_what_the_corpus_left_out() -> None:
    exclusions = [
        Exclusion("x.wav", "is empty", utterance("x", duration=0.0)),
        Exclusion("7 utterances", "beyond limit=3"),
    ]
    size, broken, limit = judge_size("train", Corpus("c", [utterance("a")], exclusions))
    check(size, "ok", "c, 1 utterance, 0.00 h", "")
    check(broken, "warning", "1 left out (is empty): x.wav", "Mend these files")
    check(limit, "ok", "beyond limit=3", "")
    nothing, _ = judge_size("train", Corpus("c", [], exclusions[:1]))
    check(nothing, "error", "0 utterances", "Look at the reasons")


# Duplicates


def test_the_same_stretch_twice() -> None:
    file = Path("long.wav")
    apart = [utterance(str(n), audio=file, offset=float(n)) for n in range(3)]
    check(judge_repetitions("train", Corpus("c", apart)), "ok", "audio of its own", "")
    twice = Corpus("c", [*apart, utterance("again", audio=file, offset=1.0)])
    finding = judge_repetitions("train", twice)
    check(finding, "warning", "1 utterance with the same file and offset", "one line")
    assert finding.found.endswith("1 = again")


def test_evaluation_in_training() -> None:
    train = Corpus("t", [utterance("a", speaker="s"), utterance("b", "go on", speaker="s")])
    clean = Corpus("v", [utterance("c", "GO", speaker="s"), utterance("d", "go on")])
    (finding,) = judge_overlaps({"train": train, "val": clean})
    check(finding, "ok", "val", "")
    leaky = Corpus("v", [utterance("a"), utterance("e", "GO  ON", speaker="s"), utterance("f")])
    by_file, by_words = judge_overlaps({"train": train, "test": leaky})
    check(by_file, "warning", "1 utterance of test in train by audio file: a", "Leave them out")
    check(by_words, "warning", "by speaker and transcript: e", "what test measures")
    assert judge_overlaps({"test": leaky}) == []


# Recordings

Write = Callable[..., Utterance]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write samples (S,) to a file; returns its utterance."""

    def make(name: str, samples: np.ndarray, suffix: str = ".wav", **more: object) -> Utterance:
        path = tmp_path / (name + suffix)
        soundfile.write(path, samples, RATE, subtype="PCM_16")
        return replace(Utterance(name, path, len(samples) / RATE, "ab"), **more)

    return make


def test_healthy_recordings(write: Write) -> None:
    checked = check_recordings([write(f"u{n}", speak("abc", n)) for n in range(20)])
    assert [item.utterance.id for item in checked] == [f"u{n}" for n in range(20)]
    (finding,) = judge_recordings("train", checked)
    check(finding, "ok", "20 recordings read, none broken", "")
    (same,) = judge_contents({"train": checked})
    check(same, "ok", "none among 20 recordings", "")


def faults(*items: Utterance) -> dict[str, Finding]:
    return {
        f.check.removeprefix("train: "): f
        for f in judge_recordings("train", check_recordings(items))
    }


def test_silence(write: Write) -> None:
    # one step of 16 bit is -90 dBFS, 32 steps are -60.2 and 33 are -59.9
    still = [write("zeros", np.zeros(800)), write("faint", np.full(800, 32 / 32768))]
    found = faults(*still, write("loud", np.full(800, 33 / 32768)))
    check(found["silence"], "warning", "2 of 3 recordings: zeros -inf dBFS", "Record these again")
    assert "faint -60.2 dBFS" in found["silence"].found
    assert faults(*still)["silence"].severity == "error"


def test_clipping(write: Write) -> None:
    wave = 0.5 * np.sin(np.arange(1000) / 10)
    clipped = wave.copy()
    clipped[100:110] = 1.0
    clipped[500:503] = -1.0
    peaks = wave.copy()
    peaks[[100, 101, 300]] = 1.0
    found = faults(write("clipped", clipped), write("peaks", peaks))
    assert list(found) == ["clipping"]
    check(found["clipping"], "warning", "1 of 2 recordings: clipped 1.300%", "input level")


def test_clipped_share_counts_runs() -> None:
    for pattern, share in (("0110", 0.0), ("1110", 0.75), ("0111", 0.75), ("1111", 1.0)):
        loudness = np.array([float(digit) for digit in pattern], dtype=np.float32)
        assert clipped_share(loudness) == share


def test_durations_that_differ(write: Write) -> None:
    wave = speak("abc abc", 1)
    told_long = write("long", wave, duration=len(wave) / RATE + 0.2)
    told_short = write("short", wave, duration=len(wave) / RATE - 0.2)
    rounded = write("rounded", wave, duration=round(len(wave) / RATE, 1))
    found = faults(told_long, told_short, rounded)
    assert list(found) == ["duration"]
    check(found["duration"], "warning", "2 of 3 recordings: long", "Write the manifest anew")
    assert f"in a file of {len(wave) / RATE:.2f} s" in found["duration"].found


def test_pieces_of_a_long_file_may_end_early(write: Write) -> None:
    whole = write("whole", speak("abc abc", 1))
    half = whole.duration / 2
    pieces = [replace(whole, id="1", duration=half), replace(whole, id="2", offset=half)]
    found = faults(*pieces)
    assert "2 0." in found["duration"].found  # it reaches beyond the end
    assert "1 of 2 recordings" in found["duration"].found
    assert list(faults(pieces[0], replace(pieces[1], duration=half))) == ["recordings"]


def test_broken_recordings(write: Write) -> None:
    good = write("good", speak("ab", 1))
    cut = write("cut", speak("abc abc abc", 3), ".flac")
    cut.audio.write_bytes(cut.audio.read_bytes()[:3000])
    absent = replace(good, id="absent", audio=good.audio.with_name("absent.wav"))
    found = faults(good, cut, absent)
    check(found["reading"], "warning", "2 of 3 recordings: cut is damaged", "Mend or replace")
    assert "absent does not exist" in found["reading"].found
    assert faults(absent)["reading"].severity == "error"


def test_the_same_audio_under_other_names(write: Write) -> None:
    wave = speak("abc", 1)
    one = write("one", wave)
    two = write("two", soundfile.read(one.audio, dtype="int16")[0], ".flac")
    other, still = write("other", speak("abc", 2)), write("still", np.zeros(800))
    third = write("third", wave)  # the same file contents as the first
    checked = {
        "train": check_recordings([one, two, other, still]),
        "val": check_recordings([one, write("quiet", 0 * wave)]),
    }
    (within,) = judge_contents(checked)  # val's is the very same file, which judge_overlaps reports
    check(within, "warning", "within a corpus: train:one = train:two", "Keep one of each")
    (across,) = judge_contents({"train": check_recordings([one]), "val": check_recordings([third])})
    check(across, "warning", "across corpora: train:one = val:third", "one corpus alone")


# Presence


def test_missing_splits_are_not_downloaded(tmp_path: Path) -> None:
    (tmp_path / "LibriSpeech" / "train-clean-100").mkdir(parents=True)
    present, missing = present_and_missing("train_all", tmp_path)
    assert present == ["train-clean-100"]
    assert missing == ["train-clean-360", "train-other-500"]
    finding, demand = judge_missing("datasets.train", missing, tmp_path)
    check(finding, "warning", "training downloads 53.6 GB first", "Set data_dir")
    assert demand.needed == 2 * (23_049_477_885 + 30_593_501_606)
    assert present_and_missing(["mine", "dev-clean"], tmp_path) == (["mine"], ["dev-clean"])
    # two shares of the same split are one download
    shares = ["train-clean-8h", "dev-clean-70m"]
    assert present_and_missing(shares, tmp_path / "none") == ([], ["train-clean-100"])
