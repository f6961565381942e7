"""A cache contains what the files hold, whole or not at all, and never what they held before."""

from __future__ import annotations

import errno
import multiprocessing
import os
import pickle
import shutil
import signal
import time
from collections import namedtuple
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

import deepspeech2.datasets.shards as shards_module
from deepspeech2.audio.reading import read_audio
from deepspeech2.datasets.corpus_cache import fingerprint, open_cache
from deepspeech2.datasets.shards import Shards, plan_shards
from deepspeech2.errors import AudioError, ManifestError
from deepspeech2.types import Utterance

NUMBER = 24
BROKEN, CUT = 5, 11


@pytest.fixture
def utterances(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Utterance]:
    """24 recordings of several rates, depths and numbers of channels; two cannot be read."""
    monkeypatch.setattr(shards_module, "_SMALLEST", 30_000)  # of which they fill about a dozen
    rng = np.random.default_rng(0)
    found = []
    for number in range(NUMBER):
        rate = (16000, 44100, 8000)[number % 3]
        shape = (round(rate * (0.3 + number / 50)), 1 + number % 2)
        path = tmp_path / "audio" / f"{number}.wav"
        path.parent.mkdir(exist_ok=True)
        subtype = ("FLOAT", "PCM_16")[number % 2]
        soundfile.write(path, rng.uniform(-1, 1, shape), rate, subtype=subtype)
        found.append(Utterance(f"u{number}", path, 0.2 + number / 100, "x", offset=number / 1000))
    found[BROKEN].audio.write_text("no audio")
    found[CUT].audio.write_bytes(found[CUT].audio.read_bytes()[:500])
    return found


def expected(utterance: Utterance) -> list[int] | str:
    """16-bit samples, or the reason why there are none."""
    try:
        waveform = read_audio(
            utterance.audio, offset=utterance.offset, duration=utterance.duration
        ).double()
    except AudioError as error:
        return str(error)
    samples: list[int] = (waveform * 32768).round().clamp(-32768, 32767).int().tolist()
    return samples


def held(shards: Shards, index: int) -> list[int] | str:
    try:
        samples: list[int] = shards[index].tolist()
    except AudioError as error:
        return str(error)
    return samples


def check(shards: Shards, utterances: list[Utterance]) -> None:
    assert len(shards) == len(utterances)
    for index, utterance in enumerate(utterances):
        assert held(shards, index) == expected(utterance)


def opened(utterances: list[Utterance], folder: Path, **options: int) -> Shards:
    return open_cache(utterances, folder / "cache", **({"sample_rate": 16000} | options))  # type: ignore[arg-type]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The utterances that were decoded, in order."""
    ids: list[str] = []
    plain = shards_module.read_pcm

    def counted(utterance: Utterance, sample_rate: int) -> object:
        ids.append(utterance.id)
        return plain(utterance, sample_rate)

    monkeypatch.setattr(shards_module, "read_pcm", counted)
    return ids


@pytest.mark.parametrize("n_workers", [1, 3])
def test_it_holds_what_the_files_hold(
    utterances: list[Utterance], tmp_path: Path, n_workers: int, decoded: list[str]
) -> None:
    shards = opened(utterances, tmp_path, n_workers=n_workers)
    check(shards, utterances)
    assert sorted(decoded) == sorted(utterance.id for utterance in utterances)
    assert len(list(shards.folder.glob("*.pcm"))) > 5
    assert not shards[0].flags.writeable
    check(opened(utterances, tmp_path), utterances)
    assert len(decoded) == NUMBER
    check(pickle.loads(pickle.dumps(shards)), utterances)
    assert len(pickle.dumps(shards)) < 10_000


def test_the_rate_is_the_one_asked_for(utterances: list[Utterance], tmp_path: Path) -> None:
    slow, fast = (opened(utterances, tmp_path, sample_rate=rate) for rate in (8000, 16000))
    for index, utterance in enumerate(utterances):
        if index not in (BROKEN, CUT):
            assert len(slow[index]) == pytest.approx(8000 * utterance.duration, abs=2)
            assert len(fast[index]) == pytest.approx(16000 * utterance.duration, abs=2)


def test_no_utterance_is_an_empty_cache(tmp_path: Path) -> None:
    assert len(opened([], tmp_path)) == 0


def test_whatever_it_depends_on_makes_another(utterances: list[Utterance]) -> None:
    first = fingerprint(utterances, 16000)
    assert fingerprint([replace(item, text="other") for item in utterances], 16000) == first
    variants = [
        fingerprint(utterances, 8000),
        fingerprint(utterances[::-1], 16000),
        fingerprint(utterances[1:], 16000),
    ]
    for change in (
        {"id": "other"},
        {"offset": 0.5},
        {"duration": 0.1},
        {"audio": utterances[1].audio},
    ):
        changed = [replace(utterances[0], **change), *utterances[1:]]  # type: ignore[arg-type]
        variants.append(fingerprint(changed, 16000))
    os.utime(utterances[3].audio, ns=(0, 1_000_000_001))
    variants.append(fingerprint(utterances, 16000))
    with utterances[3].audio.open("ab") as stream:
        stream.write(b"more")
    os.utime(utterances[3].audio, ns=(0, 1_000_000_001))
    variants.append(fingerprint(utterances, 16000))
    utterances[3].audio.unlink()
    variants.append(fingerprint(utterances, 16000))
    assert len({first, *variants}) == 1 + len(variants)


def test_a_changed_file_is_decoded_anew(utterances: list[Utterance], tmp_path: Path) -> None:
    opened(utterances, tmp_path)
    soundfile.write(utterances[2].audio, np.full(16000, 0.25), 16000)
    check(opened(utterances, tmp_path), utterances)
    shutil.copy(utterances[0].audio, utterances[BROKEN].audio)  # what was broken is mended
    check(opened(utterances, tmp_path), utterances)


def cut_off(samples: Path, index: Path) -> None:
    os.truncate(samples, samples.stat().st_size - 2)


def lengthen(samples: Path, index: Path) -> None:
    samples.write_bytes(samples.read_bytes() + b"\0\0")


def forget(samples: Path, index: Path) -> None:
    index.unlink()


def garble(samples: Path, index: Path) -> None:
    index.write_text('{"lengths": [1, "x')


def flip_in_index(samples: Path, index: Path) -> None:
    content = bytearray(index.read_bytes())
    content[-20] ^= 1
    index.write_bytes(content)


def of_its_neighbour(samples: Path, index: Path) -> None:
    """Genuine, and of this user."""
    shutil.copy(samples.with_name("00003.pcm"), samples)
    shutil.copy(index.with_name("00003.index"), index)


def pipes(samples: Path, index: Path) -> None:
    for path in (samples, index):
        path.unlink()
        os.mkfifo(path)


def link(samples: Path, index: Path) -> None:
    """To what is mine, which a rebuilt shard would overwrite."""
    mine = samples.parent.parent.parent / "mine"
    mine.write_text("mine")
    samples.unlink()
    samples.symlink_to(mine)


DAMAGE = [cut_off, lengthen, forget, garble, flip_in_index, of_its_neighbour, pipes, link]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_shard_is_decoded_anew(
    utterances: list[Utterance],
    tmp_path: Path,
    decoded: list[str],
    damage: Callable[[Path, Path], None],
) -> None:
    folder = opened(utterances, tmp_path).folder
    decoded.clear()
    damage(folder / "00002.pcm", folder / "00002.index")
    check(opened(utterances, tmp_path), utterances)
    assert not (tmp_path / "mine").exists() or (tmp_path / "mine").read_text() == "mine"
    part = plan_shards([utterance.duration for utterance in utterances], 16000)[2]
    assert decoded == [utterances[index].id for index in part]


def flip(samples: Path) -> None:
    content = bytearray(samples.read_bytes())
    content[1] ^= 1
    samples.write_bytes(content)


def silence(samples: Path) -> None:
    """The file that is open, as another process would change it."""
    with samples.open("r+b") as file:
        file.write(bytes(samples.stat().st_size))


def vanish(samples: Path) -> None:
    samples.unlink()


def empty(samples: Path) -> None:
    """Whoever has mapped it would end with SIGBUS."""
    os.truncate(samples, 0)


def pipe(samples: Path) -> None:
    samples.unlink()
    os.mkfifo(samples)


@pytest.mark.parametrize("change", [flip, silence, vanish, empty, pipe])
@pytest.mark.parametrize("when", ["before", "while it is read"])
def test_samples_that_were_changed_are_not_learnt_from(
    utterances: list[Utterance],
    tmp_path: Path,
    decoded: list[str],
    caplog: pytest.LogCaptureFixture,
    change: Callable[[Path], None],
    when: str,
) -> None:
    shards = opened(utterances, tmp_path)
    decoded.clear()
    if when == "before":
        change(shards.folder / "00000.pcm")
        shards = opened(utterances, tmp_path)
    else:
        change(shards.folder / "00000.pcm")
    check(shards, utterances)
    check(shards, utterances)
    assert caplog.text.count("00000.pcm is not as it was written") <= 1
    assert "u0" in decoded
    decoded.clear()
    check(opened(utterances, tmp_path), utterances)
    check(opened(utterances, tmp_path), utterances)
    assert decoded.count("u0") <= 1


def test_another_user_makes_a_cache_of_his_own(
    utterances: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(utterances, tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    second = opened(utterances, tmp_path)
    assert first.folder != second.folder
    check(first, utterances)
    check(second, utterances)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("call", [1, 2, 7])
def test_a_full_disk_is_a_sentence_and_what_is_decoded_is_kept(
    utterances: list[Utterance],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: int,
    decoded: list[str],
) -> None:
    calls = 0
    whole = os.fsync

    def full(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls >= call:
            raise OSError(errno.ENOSPC, "No space left on device")
        whole(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(ManifestError) as caught:
            opened(utterances, tmp_path, n_workers=1)
    (folder,) = (tmp_path / "cache").iterdir()
    for words in ("the disk is full", str(folder), "dataloader.cache_dir", "dataloader.cache=none"):
        assert words in str(caught.value)
    assert not any(name.endswith(".part") for name in names(folder))
    n_kept = len(list(folder.glob("*.index")))
    assert n_kept == call - 1
    decoded.clear()
    check(opened(utterances, tmp_path), utterances)
    assert (len(decoded) == NUMBER) == (n_kept == 0)


def test_too_little_room_is_found_before_anything_is_decoded(
    utterances: list[Utterance],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    decoded: list[str],
) -> None:
    seconds = sum(utterance.duration for utterance in utterances)
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patch:
        free = round(32000 * seconds) - 1
        patch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, free))
        with pytest.raises(ManifestError, match=r"decoded audio needs 0\.0 GB in .*cache.*, where"):
            opened(utterances, tmp_path)
        assert not decoded
        patch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, free + 1))
        check(opened(utterances, tmp_path), utterances)


def test_a_place_that_cannot_be_written_to_is_named(
    utterances: list[Utterance], tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(ManifestError, match=r"cache.* cannot be written .*: set dataloader"):
        opened(utterances, tmp_path)


def test_an_error_of_the_program_is_raised(
    utterances: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(utterance: Utterance, sample_rate: int) -> None:
        raise KeyError(utterance.id)

    monkeypatch.setattr(shards_module, "read_pcm", fail)
    with pytest.raises(KeyError):
        opened(utterances, tmp_path)
    (folder,) = (tmp_path / "cache").iterdir()
    assert not names(folder)


def slowly(utterances: list[Utterance], folder: Path, log: Path, slow_from: int = NUMBER) -> None:
    """Open the cache in another process, which notes what it decodes.

    Args:
        slow_from: after so many it takes its time, however busy the machine is.
    """
    shards_module._SMALLEST = 30_000
    plain = shards_module.read_pcm
    # a test that runs in the background of a shell inherits that this signal is ignored
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def noted(utterance: Utterance, sample_rate: int) -> object:
        late = log.exists() and len(log.read_text().split()) >= slow_from
        time.sleep(3.0 if late else 0.05)
        with log.open("a") as stream:
            stream.write(f"{utterance.id}\n")
        return plain(utterance, sample_rate)

    shards_module.read_pcm = noted  # type: ignore[assignment]
    check(opened(utterances, folder, n_workers=2), utterances)


def start(*arguments: object) -> multiprocessing.process.BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=slowly, args=arguments)
    process.start()
    return process


def test_two_processes_at_once_decode_once(utterances: list[Utterance], tmp_path: Path) -> None:
    log = tmp_path / "log"
    processes = [start(utterances, tmp_path, log) for _ in range(2)]
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert sorted(log.read_text().split()) == sorted(utterance.id for utterance in utterances)


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_a_build_that_is_ended_is_continued(
    utterances: list[Utterance], tmp_path: Path, decoded: list[str], sent: signal.Signals
) -> None:
    log = tmp_path / "log"
    process = start(utterances, tmp_path, log, NUMBER // 2)
    while not log.exists() or len(log.read_text().split()) < NUMBER // 2:
        time.sleep(0.01)
    assert process.pid is not None
    os.kill(process.pid, sent)
    process.join()
    assert process.exitcode not in (0, None)
    (folder,) = (tmp_path / "cache").iterdir()
    n_kept = len(list(folder.glob("*.index")))
    n_shards = len(plan_shards([utterance.duration for utterance in utterances], 16000))
    assert 0 < n_kept < n_shards
    check(opened(utterances, tmp_path), utterances)
    assert 0 < len(decoded) < NUMBER
    assert names(folder) == {
        f"{number:05d}.{ending}" for number in range(n_shards) for ending in ("pcm", "index")
    }


def test_shards_are_consecutive_and_bounded() -> None:
    rng = np.random.default_rng(0)
    hours = rng.uniform(1, 20, 100_000).tolist()
    for durations in ([], [5.0], [0.0, 0.0], [1e6, 1.0, 1e6], hours[:1000], hours):
        plan = plan_shards(durations, 16000)
        assert [index for part in plan for index in part] == list(range(len(durations)))
        for part in plan:
            size = 32000 * sum(durations[index] for index in part)
            assert size <= 2**29 or len(part) == 1
    assert len(plan_shards(hours[:1000], 16000)) in range(35, 50)
    assert len(plan_shards(hours, 16000)) in range(62, 75)
