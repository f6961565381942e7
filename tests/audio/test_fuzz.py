"""Anything at all with the ending of a recording: samples, or one sentence; never a crash."""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from deepspeech2.audio.blocks import blocks
from deepspeech2.audio.reading import AUDIO_SUFFIXES, from_samples, probe, read_audio
from deepspeech2.errors import AudioError
from tests.audio.test_reading import LOSSLESS, LOSSY, OPTIONS

ENDINGS = sorted(AUDIO_SUFFIXES)
FORMATS = [*LOSSLESS, *LOSSY]
fuzz = settings(
    deadline=5000, max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def check(path: Path) -> None:
    """Every way to read it gives finite samples, or says why not."""
    outcomes = []
    ways: list[Callable[[], np.ndarray]] = [
        lambda: read_audio(path).numpy(),
        lambda: np.concatenate(list(blocks(path, seconds=1.0))),
        lambda: read_audio(path, offset=0.01, duration=0.05).numpy(),
    ]
    for way in ways:
        try:
            found = way()
        except AudioError as error:
            message = str(error)
            assert str(path) in message
            assert "\n" not in message
            assert "Error" not in message  # no library's own words
            outcomes.append(None)
        else:
            assert found.ndim == 1
            assert len(found)
            assert np.isfinite(found).all()
            assert np.abs(found).max() <= 1.0
            outcomes.append(len(found))
    assert (outcomes[0] is None) == (outcomes[1] is None)
    if outcomes[0] is not None:
        assert outcomes[1] == pytest.approx(outcomes[0], abs=2)
        seconds = probe(path).duration
        assert outcomes[0] == pytest.approx(16000 * seconds, abs=2 + 1152 * 16)


class Quiet(dict[str, bytes]):
    """Whose representation is short, for Hypothesis prints it."""

    def __repr__(self) -> str:
        return f"{len(self)} files"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A fifth of a second in stereo, in every format."""
    folder = tmp_path_factory.mktemp("good")
    samples = 0.3 * np.random.default_rng(0).standard_normal((3200, 2)).clip(-3, 3)
    found = {}
    for ending in FORMATS:
        path = folder / f"a.{ending}"
        soundfile.write(path, samples, 16000, **OPTIONS.get(ending, {}))
        found[ending] = path.read_bytes()
    return Quiet(found)


@fuzz
@given(ending=st.sampled_from(ENDINGS), data=st.binary(max_size=3000))
@example(ending=".wav", data=b"")
@example(ending=".wav", data=b"RIFF")
@example(ending=".flac", data=b"fLaC\0\0\0\x22")
@example(ending=".mp3", data=b"ID3\x04\0\0\x7f\x7f\x7f\x7f")
def test_random_bytes(tmp_path: Path, ending: str, data: bytes) -> None:
    path = tmp_path / f"a{ending}"
    path.write_bytes(data)
    check(path)


@fuzz
@given(ending=st.sampled_from(FORMATS), share=st.floats(0, 1))
def test_files_cut_off_anywhere(
    tmp_path: Path, good: dict[str, bytes], ending: str, share: float
) -> None:
    path = tmp_path / f"a.{ending}"
    path.write_bytes(good[ending][: round(share * len(good[ending]))])
    check(path)


@fuzz
@given(
    ending=st.sampled_from(FORMATS),
    changes=st.lists(
        st.tuples(st.one_of(st.integers(0, 120), st.integers(0, 5000)), st.integers(0, 255)),
        min_size=1,
        max_size=8,
    ),
)
@example(ending="mp3", changes=[(29, 1)])  # announces 167 hours
def test_bytes_changed_anywhere(
    tmp_path: Path, good: dict[str, bytes], ending: str, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(good[ending])
    for place, value in changes:
        data[place % len(data)] = value
    path = tmp_path / f"a.{ending}"
    path.write_bytes(bytes(data))
    check(path)


def wav(kind: int, channels: int, rate: int, bits: int, announced: int, samples: bytes) -> bytes:
    width = channels * bits // 8
    layout = struct.pack(
        "<HHIIHH", kind, channels, rate, min(rate * width, 2**32 - 1), width % 65536, bits
    )
    body = b"WAVEfmt " + struct.pack("<I", 16) + layout + b"data" + struct.pack("<I", announced)
    return b"RIFF" + struct.pack("<I", 2**32 - 1 & len(body) + len(samples)) + body + samples


NUMBERS = st.sampled_from([0, 1, 2, 7, 8, 16, 24, 32, 64, 255, 1000, 16000, 44100, 65535])


@fuzz
@given(
    kind=st.sampled_from([0, 1, 3, 6, 7, 17, 85, 65534]),
    channels=NUMBERS,
    rate=st.one_of(NUMBERS, st.sampled_from([2**31 - 1, 2**31, 2**32 - 1, 192000, 500000])),
    bits=NUMBERS,
    announced=st.sampled_from([0, 1, 400, 2**31, 2**32 - 1]),
    samples=st.binary(max_size=800),
)
@example(kind=1, channels=1, rate=0, bits=8, announced=0, samples=b"\0")
def test_headers_that_announce_anything(
    tmp_path: Path, kind: int, channels: int, rate: int, bits: int, announced: int, samples: bytes
) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav(kind, channels, rate, bits, announced, samples))
    check(path)


@fuzz
@given(
    samples=arrays(np.float32, st.integers(0, 40), elements=st.floats(width=32)),
    subtype=st.sampled_from(["FLOAT", "DOUBLE"]),
    rate=st.sampled_from([1, 100, 8000, 16000, 22050, 96000, 2_000_000]),
)
def test_samples_of_any_value(tmp_path: Path, samples: np.ndarray, subtype: str, rate: int) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, samples, rate, subtype)
    check(path)
    with suppress(AudioError):
        assert np.isfinite(from_samples(samples, rate).numpy()).all()
