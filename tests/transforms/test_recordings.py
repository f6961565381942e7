"""The parts of a noise folder: disjoint, stable, and about a third for tests."""

from __future__ import annotations

from pathlib import Path, PurePath, PureWindowsPath

import numpy as np
import pytest
import soundfile
import torch

from deepspeech2.errors import ConfigError
from deepspeech2.seeding import generator
from deepspeech2.transforms import NoiseFolder, RecordedNoise
from deepspeech2.transforms.noise_folder import part_of
from deepspeech2.types import Padded

RATE = 16000


def write(folder: Path, names: list[str]) -> Path:
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.full(100 + number, 0.001 * (number + 1)), RATE, subtype="FLOAT")
    return folder


def names_of(folder: Path, part: str) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in NoiseFolder(folder, part=part).files  # type: ignore[arg-type]
    }


def test_parts_are_disjoint_and_whole(tmp_path: Path) -> None:
    folder = write(tmp_path, [f"{kind}/{n}.wav" for kind in ("rain", "dog") for n in range(20)])
    train, test = names_of(folder, "train"), names_of(folder, "test")
    assert train
    assert test
    assert not train & test
    assert train | test == names_of(folder, "all")


def test_a_third_is_for_tests() -> None:
    parts = [part_of(PurePath(f"rain/{number}.wav")) for number in range(3000)]
    assert parts.count("test") == pytest.approx(1000, abs=80)


def test_the_rule_never_changes() -> None:
    # Written down once: another rule would let old checkpoints hear what they are tested with.
    names = ["rain/1-17367-A.wav", "dog/2.flac", "a.wav", "b.wav", "c.wav", "deep/er/d.opus"]
    assert [part_of(PurePath(name)) for name in names] == [
        "test",
        "train",
        "train",
        "train",
        "train",
        "test",
    ]


def test_ending_take_and_spelling_do_not_matter() -> None:
    for number in range(50):
        name = f"rain/1-{number}"
        same = {
            part_of(PurePath(f"{name}-A.wav")),
            part_of(PurePath(f"{name}-F.opus")),
            part_of(PurePath(f"{name}.flac")),
            part_of(PureWindowsPath(f"rain\\1-{number}.wav")),
        }
        assert len(same) == 1
        accents = {part_of(PurePath(f"é{number}.wav")), part_of(PurePath(f"e\u0301{number}.wav"))}
        assert len(accents) == 1


def test_other_recordings_do_not_move_any(tmp_path: Path) -> None:
    few = names_of(write(tmp_path / "few", [f"{n}.wav" for n in range(0, 30, 3)]), "test")
    many = names_of(write(tmp_path / "many", [f"{n}.wav" for n in range(30)]), "test")
    assert few < many


def test_noise_is_drawn_from_its_part_alone(tmp_path: Path) -> None:
    # The level of a recording tells which it is.
    folder = write(tmp_path, [f"{number}.wav" for number in range(30)])
    level = {f"{number}.wav": 0.001 * (number + 1) for number in range(30)}
    batch = Padded(torch.ones(500, 20), torch.full((500,), 20))
    for part in ("train", "test", "all"):
        ours = RecordedNoise(folder, 0, 0, part=part)  # type: ignore[arg-type]
        drawn = set(ours.noise(batch, generator("cpu", 1))[:, 0].tolist())
        expected = [level[name] for name in names_of(folder, part)]
        assert sorted(drawn) == pytest.approx(sorted(expected))


def test_clips_and_their_names(tmp_path: Path) -> None:
    folder = write(tmp_path, ["b/x.wav", "a.wav"])
    clips = NoiseFolder(folder).clips
    assert dict(zip(clips.names, clips.lengths.tolist(), strict=True)) == {
        "b/x.wav": 100,
        "a.wav": 101,
    }
    for index, name in enumerate(clips.names):
        read, _ = soundfile.read(folder / name, dtype="float32")
        np.testing.assert_array_equal(clips[index].numpy(), read)


def test_bad_input(tmp_path: Path) -> None:
    folder = write(tmp_path, ["a.wav"])
    (empty,) = {"train", "test"} - {part_of(PurePath("a.wav"))}
    with pytest.raises(ConfigError, match=rf"part={empty} contains none of the 1 .*take part=all"):
        NoiseFolder(folder, part=empty)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="part must be one of all, train, test, but is 'dev'"):
        RecordedNoise(folder, 0, 10, part="dev")  # type: ignore[arg-type]
