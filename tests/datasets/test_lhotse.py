"""Manifests of lhotse, as its documentation shows them and as it writes them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from deepspeech2.audio.reading import read_utterance
from deepspeech2.datasets import LhotseCorpus
from deepspeech2.errors import ConfigError, ManifestError
from tests.datasets.toy_librispeech import contents, librispeech, write_librispeech

Json = dict[str, Any]


def recording(name: str = "a", channels: int = 1, **changes: Any) -> Json:
    source = {"type": "file", "channels": list(range(channels)), "source": f"{name}.wav"}
    return {
        "id": name, "sources": [source], "sampling_rate": 16000, "num_samples": 80000,
        "duration": 5.0, "channel_ids": list(range(channels)), **changes,
    }  # fmt: skip


def supervision(name: str, start: float, duration: float, **changes: Any) -> Json:
    return {
        "id": name, "recording_id": "a", "start": start, "duration": duration, "channel": 0,
        "text": f"text {name}", "language": "en", "speaker": "ann", **changes,
    }  # fmt: skip


def cut(*supervisions: Json, start: float = 0.0, duration: float = 5.0, **changes: Any) -> Json:
    return {
        "id": "a-0", "start": start, "duration": duration, "channel": 0,
        "supervisions": list(supervisions), "recording": recording(), "type": "MonoCut", **changes,
    }  # fmt: skip


GOOD = cut(supervision("good", 0, 5))


def write(path: Path, *rows: Json) -> Path:
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("name", ["cuts.jsonl", "cuts.jsonl.gz"])
def test_supervisions_of_cuts_are_utterances(tmp_path: Path, name: str) -> None:
    write(
        tmp_path / name,
        cut(supervision("u1", 0.25, 1.0), supervision("u2", 2.0, 0.5, speaker="bob"), start=1.5),
        cut(id="silent", supervisions=[], start=4.0, duration=1.0),
    )
    corpus = LhotseCorpus(name, tmp_path)
    assert corpus.name == "cuts"
    found = [(each.id, each.offset, each.duration, each.text, each.speaker) for each in corpus]
    assert found == [
        ("u1", 1.75, 1.0, "text u1", "ann"),
        ("u2", 3.5, 0.5, "text u2", "bob"),
        ("silent", 4.0, 1.0, None, None),
    ]
    assert {each.audio for each in corpus} == {tmp_path / "a.wav"}
    assert [each.id for each in LhotseCorpus(name, tmp_path, speakers=["bob"])] == ["u2"]
    with pytest.raises(ConfigError, match="speaker 'eve' does not occur"):
        LhotseCorpus(name, tmp_path, speakers=["eve"])


def test_supervisions_with_their_recordings(tmp_path: Path) -> None:
    write(tmp_path / "recordings.jsonl.gz", recording())
    write(
        tmp_path / "supervisions.jsonl.gz",
        supervision("u1", 0.5, 2),
        supervision("u2", 3, 1),
        supervision("u3", 0, 1, recording_id="lost"),
    )
    corpus = LhotseCorpus("supervisions.jsonl.gz", tmp_path, recordings="recordings.jsonl.gz")
    assert [(each.id, each.offset, each.duration) for each in corpus] == [
        ("u1", 0.5, 2.0),
        ("u2", 3.0, 1.0),
    ]
    (fault,) = corpus.exclusions
    assert (fault.name, fault.reason) == (
        "supervisions.jsonl.gz, line 3",
        'recording_id "lost" is not among the recordings',
    )
    with pytest.raises(ManifestError, match="name its recordings with recordings="):
        LhotseCorpus("supervisions.jsonl.gz", tmp_path)


def test_channels(tmp_path: Path) -> None:
    """Of two channels in a file, one of two files, and both at once."""
    tone = np.sin(np.arange(80000) / 10)
    soundfile.write(tmp_path / "a.wav", np.stack([0.1 * tone, 0.5 * tone], axis=1), 16000)
    two = recording(channels=2)
    apart = recording()
    apart["sources"] = [
        {"type": "file", "channels": [index], "source": f"{index}.wav"} for index in (0, 1)
    ]
    write(
        tmp_path / "cuts.jsonl",
        cut(supervision("second", 0, 5, channel=1), recording=two, channel=1),
        cut(supervision("both", 0, 5, channel=[0, 1]), recording=two, type="MultiCut"),
        cut(supervision("file", 0, 5, channel=1), recording=apart, channel=1),
    )
    second, both, file = LhotseCorpus("cuts.jsonl", tmp_path)
    assert (second.channel, both.channel, file.channel) == (2, None, None)
    assert file.audio == tmp_path / "1.wav"
    assert read_utterance(second, 16000).abs().max() == pytest.approx(0.5, abs=1e-3)
    assert read_utterance(both, 16000).abs().max() == pytest.approx(0.3, abs=1e-3)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            cut(recording=recording(sources=[{"type": "command", "source": "touch {tmp}/ran"}])),
            "its recording is of the type command, not a file: no command is run",
        ),
        (
            cut(recording=recording(sources=[{"type": "memory", "source": "UklGRg=="}])),
            "its recording is of the type memory, not a file",
        ),
        (
            cut(recording=recording(transforms=[{"name": "Speed", "kwargs": {"factor": 1.1}}])),
            "lhotse would change its recording (Speed)",
        ),
        ({"id": "mix", "tracks": [], "type": "MixedCut"}, "is a MixedCut, which is no stretch"),
        ({**GOOD, "recording": None}, "has no recording: its keys are id, start"),
        (cut(start="1"), 'start must be a number of seconds, but is "1"'),
        (cut(duration=None), "has no duration"),
        (cut(start=-1), "cut from -1 s on for 5 s is not in its recording"),
        (cut(supervision("u", 4, 2)), "supervision u reaches beyond its cut"),
        (cut(supervision("u", 0, 1, text=5)), "text must be a string, but is 5"),
        (cut(supervision("u", 0, 0)), "duration must be positive, but is 0"),
        (cut(supervision("u", 0, 1, channel=3)), "no source of its recording has the channel 3"),
        (cut(supervision("u", 0, 1, channel={})), "channels must be whole numbers, but are {}"),
        (cut(recording=recording(sources=None)), "its recording has no list of sources"),
        (cut(supervisions=5), "supervisions must be a list"),
    ],
)
def test_cuts_that_are_wrong_are_named(tmp_path: Path, row: Json, reason: str) -> None:
    text = json.dumps(row).replace("{tmp}", str(tmp_path))
    (tmp_path / "cuts.jsonl").write_text(f"{json.dumps(GOOD)}\n{text}\n")
    corpus = LhotseCorpus("cuts.jsonl", tmp_path)
    assert [each.id for each in corpus] == ["good"]
    (fault,) = corpus.exclusions
    assert fault.name == "cuts.jsonl, line 2"
    assert fault.reason.startswith(reason)
    assert not (tmp_path / "ran").exists()


def test_a_transform_that_changes_nothing_here(tmp_path: Path) -> None:
    slower = recording(transforms=[{"name": "Resample", "kwargs": {}}])
    write(tmp_path / "cuts.jsonl", cut(supervision("u", 0, 1), recording=slower))
    assert len(LhotseCorpus("cuts.jsonl", tmp_path)) == 1


def test_a_packed_manifest_that_is_cut_off(tmp_path: Path) -> None:
    path = write(tmp_path / "cuts.jsonl.gz", GOOD)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ManifestError, match=r"cuts\.jsonl\.gz is damaged or no gzip file"):
        LhotseCorpus("cuts.jsonl.gz", tmp_path)


def test_librispeech_through_cuts(tmp_path: Path) -> None:
    """One long recording, as lhotse cuts it, and the files themselves give what LibriSpeech is."""
    write_librispeech(tmp_path)
    corpus = librispeech(tmp_path)
    rows = []
    for each in corpus:
        name = str(each.audio.relative_to(tmp_path))
        sound = {"type": "file", "channels": [0], "source": name}
        rows.append(
            cut(
                supervision(each.id, 0, each.duration, text=each.text, speaker=each.speaker),
                id=f"{each.id}-0",
                duration=each.duration,
                recording=recording(each.id, sources=[sound], duration=each.duration),
            )
        )
    write(tmp_path / "cuts.jsonl.gz", *rows)
    found = LhotseCorpus("cuts.jsonl.gz", tmp_path)
    assert contents(found) == contents(corpus)
    assert [each.speaker for each in found] == [each.speaker for each in corpus]


@pytest.mark.filterwarnings("ignore")
def test_against_lhotse(tmp_path: Path) -> None:
    """What it writes is read as its own way of trimming cuts to supervisions has it."""
    lhotse = pytest.importorskip("lhotse")
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, 80000)
    soundfile.write(tmp_path / "a.wav", sound, 16000)
    segments = [
        lhotse.SupervisionSegment(f"u{index}", "a", start, 0.75, text=f"text {index}")
        for index, start in enumerate((0.5, 1.5, 3.25))
    ]
    whole = lhotse.CutSet.from_manifests(
        lhotse.RecordingSet.from_recordings([lhotse.Recording.from_file(tmp_path / "a.wav")]),
        lhotse.SupervisionSet.from_segments(segments),
    )
    cuts = lhotse.CutSet.from_cuts([each.truncate(offset=0.25, duration=4.0) for each in whole])
    cuts.to_file(tmp_path / "cuts.jsonl.gz")
    expected = list(cuts.trim_to_supervisions(keep_overlapping=False))
    found = LhotseCorpus("cuts.jsonl.gz", tmp_path)
    assert len(found) == len(expected) == 3
    for ours, theirs in zip(found, expected, strict=True):
        (segment,) = theirs.supervisions
        assert (ours.id, ours.text) == (segment.id, segment.text)
        assert (ours.offset, ours.duration) == (theirs.start, theirs.duration)
        np.testing.assert_array_equal(read_utterance(ours, 16000), theirs.load_audio()[0])
