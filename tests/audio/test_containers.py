"""What people's devices write: heard from its first to its last sample, or told in a sentence."""

from __future__ import annotations

import re
import struct
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile

from deepspeech2.audio.blocks import blocks
from deepspeech2.audio.reading import AUDIO_SUFFIXES, AudioInfo, probe, probe_all, read_audio
from deepspeech2.errors import AudioError, IncompleteError
from tests.audio.recordings import KINDS, Kind, Samples, write

RATE = 16000
UNCOUNTED = ("mp2", "adts", "amr", "ac3", "eac3", "voc")
"""Streams without a header that says how long they are: a cut one is a shorter one."""


@cache
def speech() -> Samples:
    """(S, 1) of three seconds, with something to hear in each."""
    rng = np.random.default_rng(0)
    time = np.arange(3 * RATE) / RATE
    pitch = 120 + 40 * np.sin(2 * np.pi * 0.7 * time)
    tone = sum(np.sin(2 * np.pi * k * np.cumsum(pitch) / RATE) / k for k in range(1, 12))
    loudness = 0.5 + 0.5 * np.sin(2 * np.pi * 3.1 * time)
    samples: Samples = 0.15 * tone * loudness + 0.002 * rng.standard_normal(len(time))
    return samples[:, None]


def likeness(heard: np.ndarray, said: np.ndarray) -> float:
    """The largest correlation of the two at any shift."""
    size = len(heard) + len(said)
    product = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(said, size))
    shifted = np.fft.irfft(product, size)
    return float(shifted.max() / np.linalg.norm(heard) / np.linalg.norm(said))


def recorded(folder: Path, kind: Kind, samples: Samples | None = None) -> Path:
    path = folder / f"a.{kind.ending}"
    return write(path, kind, speech() if samples is None else samples, RATE)


def test_there_are_many_kinds() -> None:
    assert len(KINDS) >= 40
    assert all(f".{kind.ending}" in AUDIO_SUFFIXES for kind in KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_whole(tmp_path: Path, kind: Kind) -> None:
    path = recorded(tmp_path, kind)
    heard = read_audio(path).numpy()
    assert abs(len(heard) / RATE - 3) <= kind.slack
    assert abs(probe(path).duration - len(heard) / RATE) <= 0.02
    assert likeness(heard, speech()[:, 0]) > kind.likeness
    in_blocks = np.concatenate(list(blocks(path, seconds=0.3)))
    np.testing.assert_allclose(in_blocks, heard, atol=2e-3)
    stretch = read_audio(path, offset=1.0, duration=0.5).numpy()
    assert len(stretch) == RATE // 2
    np.testing.assert_allclose(stretch[400:-400], heard[16400:23600], atol=2e-3)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_one_behind_the_other(tmp_path: Path, kind: Kind) -> None:
    path = recorded(tmp_path, kind)
    once = read_audio(path).numpy()
    path.write_bytes(path.read_bytes() * 2)
    heard = read_audio(path).numpy()
    assert abs(len(heard) - 2 * len(once)) <= 0.02 * RATE
    assert likeness(heard[-len(once) :], once) > 0.95
    assert abs(probe(path).duration - len(heard) / RATE) <= 0.02


@pytest.mark.parametrize("share", [0.9, 0.6])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_cut_off(tmp_path: Path, kind: Kind, share: float) -> None:
    """What is there is read, and what is missing told; or one sentence says that nothing is."""
    path = recorded(tmp_path, kind)
    whole = read_audio(path).numpy()
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    try:
        heard = read_audio(path).numpy()
    except AudioError as error:
        fault = error
        assert re.fullmatch(rf"{re.escape(str(path))} .*(cut off|missing).*", str(fault))
        if not isinstance(fault, IncompleteError):  # its table of contents stood at the end
            return
        heard = read_audio(path, duration=fault.seconds).numpy()
        assert abs(len(heard) / RATE - fault.seconds) <= 0.02
    else:
        assert kind.muxer in UNCOUNTED
    most = 1.0 if kind.muxer == "asf" else share + 0.1  # ASF's last packet is mostly filling
    assert 0.2 * share < len(heard) / len(whole) <= most
    count = min(len(heard), len(whole)) - 2000
    assert likeness(heard[:count], whole[:count]) > 0.95


@pytest.mark.parametrize("kind", [k for k in KINDS if "amr" not in k.codec], ids=str)
def test_opposite_channels_do_not_cancel(tmp_path: Path, kind: Kind) -> None:
    path = recorded(tmp_path, kind, np.hstack((speech(), -speech())))
    heard = read_audio(path).numpy()
    assert np.std(heard) > 0.9 * np.std(speech())
    in_blocks = np.concatenate(list(blocks(path, seconds=0.3)))
    np.testing.assert_allclose(in_blocks, heard, atol=2e-3)
    for channel, sign in ((1, 1), (2, -1)):
        one = read_audio(path, channel=channel).numpy()
        assert likeness(one, sign * speech()[:, 0]) > 0.9
    with pytest.raises(AudioError, match="has 2 channels"):
        read_audio(path, channel=3)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 96000])
@pytest.mark.parametrize(
    "kind", [k for k in KINDS if k.codec in ("alac", "tta", "pcm_s24le")], ids=str
)
def test_rates(tmp_path: Path, kind: Kind, rate: int) -> None:
    path = recorded(tmp_path, kind._replace(rate=rate))
    heard = read_audio(path).numpy()
    assert abs(len(heard) / RATE - 3) <= 0.02
    assert likeness(heard, speech()[:, 0]) > 0.95
    assert probe(path).sample_rate == rate


@pytest.mark.parametrize(
    "kind", [k for k in KINDS if k.codec != "pcm_u8" and "adpcm" not in k.codec], ids=str
)
def test_quiet_ones_are_heard(tmp_path: Path, kind: Kind) -> None:
    """60 dB below full scale, as far as the coding has room for it."""
    path = recorded(tmp_path, kind, 0.001 / np.abs(speech()).max() * speech())
    heard = read_audio(path).numpy()
    assert abs(len(heard) / RATE - 3) <= max(kind.slack, 0.08)
    exact = kind.codec.startswith(("pcm_s", "pcm_f", "alac", "flac", "tta", "wavpack"))
    assert likeness(heard, speech()[:, 0]) > (0.95 if exact else 0.3)


@pytest.mark.parametrize("size", [0, 5000, 2**31 - 1, 2**32 - 1])
@pytest.mark.parametrize("tail", [b"", b"LIST\x04\x00\x00\x00abcd"], ids=["bare", "notes"])
@pytest.mark.parametrize(
    "coding",
    ["PCM_16", "PCM_24", "PCM_32", "PCM_U8", "FLOAT", "DOUBLE", "ALAW", "ULAW", "extensible"],
)
def test_wav_with_a_wrong_size(tmp_path: Path, size: int, tail: bytes, coding: str) -> None:
    """Zero of a recorder that lost its power, the rest of more than 4 GiB, the most of a pipe."""
    path = tmp_path / "a.wav"
    kind = {"format": "WAVEX"} if coding == "extensible" else {"subtype": coding}
    soundfile.write(path, speech(), RATE, **kind)
    whole = read_audio(path).numpy()
    content = bytearray(path.read_bytes())
    place = content.find(b"data") + 4
    content[place : place + 4] = struct.pack("<I", size)
    path.write_bytes(content + tail)
    heard = read_audio(path).numpy()
    assert 0 <= len(heard) - len(whole) <= len(tail)
    np.testing.assert_array_equal(heard[: len(whole)], whole)


@pytest.mark.parametrize(
    ("channels", "heard"), [(0, False), (1, True), (1024, True), (1025, False)]
)
def test_a_wav_without_size_has_as_many_channels_as_others(
    tmp_path: Path, channels: int, heard: bool
) -> None:
    """libsndfile opens up to 1024; what it refuses with a size is refused without."""
    path = tmp_path / "a.wav"
    layout = struct.pack("<HHIIHH", 1, channels, RATE, 2 * RATE * channels, 2 * channels, 16)
    size, samples = struct.pack("<I", 0), bytes(2 * max(channels, 1) * RATE // 10)
    head = b"RIFF" + size + b"WAVEfmt " + struct.pack("<I", len(layout)) + layout
    path.write_bytes(head + b"data" + size + samples)
    if heard:
        assert len(read_audio(path)) == RATE // 10
    else:
        with pytest.raises(AudioError):
            read_audio(path)


def test_wav_with_notes_behind_the_samples(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, speech(), RATE)
    for tail in (b"LIST\x04\x00\x00\x00abcd", b"\0" * 4096, b"\0", b"id3 \x03\x00\x00\x00abc\x00"):
        content = path.read_bytes()
        path.write_bytes(content + tail)
        assert len(read_audio(path)) == 3 * RATE
        path.write_bytes(content)


@pytest.mark.parametrize("ending", ["bin.wav", "mp3", "ogg", "m4a", "raw.flac"])
def test_a_wrong_ending_makes_no_difference(tmp_path: Path, ending: str) -> None:
    for kind in (k for k in KINDS if str(k) in ("aac.m4a", "libopus.webm", "flac.flac")):
        path = tmp_path / f"b.{ending}"
        path.write_bytes(recorded(tmp_path, kind).read_bytes())
        assert abs(len(read_audio(path)) / RATE - 3) <= kind.slack


def test_video_and_second_tracks_are_passed_over_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for kind in (k for k in KINDS if str(k) in ("aac.mp4", "libopus.mkv", "aac.mov")):
        path = tmp_path / f"film.{kind.ending}"
        write(path, kind, speech(), RATE, video=True, tracks=2)
        with caplog.at_level("INFO"):
            assert abs(probe(path).duration - 3) <= 0.2
        assert f"{path}: of its 3 tracks only the first with sound is read" in caplog.text
        assert likeness(read_audio(path).numpy(), speech()[:, 0]) > 0.9


def test_a_film_without_sound_is_told(tmp_path: Path) -> None:
    import av

    path = tmp_path / "silent.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(AudioError, match="contains no sound: it has no audio track"):
        probe(path)


@pytest.mark.parametrize("second", ["another rate", "two channels"])
@pytest.mark.parametrize("ending", ["ogg", "opus", "flac", "wav", "mp3"])
def test_joined_recordings_may_differ(tmp_path: Path, ending: str, second: str) -> None:
    """All of it comes at the first one's rate."""
    options = {"format": "OGG", "subtype": "OPUS"} if ending == "opus" else {}
    one, other = tmp_path / f"1.{ending}", tmp_path / f"2.{ending}"
    soundfile.write(one, speech(), RATE, **options)
    if second == "another rate":
        soundfile.write(other, speech()[::2], RATE // 2, **options)
    else:
        soundfile.write(other, np.hstack((speech(), speech())), RATE, **options)
    path = tmp_path / f"both.{ending}"
    path.write_bytes(one.read_bytes() + other.read_bytes())
    heard = read_audio(path).numpy()
    assert abs(len(heard) / RATE - 6) <= 0.02
    assert likeness(heard[3 * RATE :], speech()[:, 0]) > 0.9


def test_less_than_a_sample_is_not_missed(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, speech(), RATE)
    path.write_bytes(path.read_bytes()[:-1])
    assert len(read_audio(path)) == 3 * RATE - 1


@pytest.mark.parametrize("ending", ["m3u8", "mp4", "wav", "ffconcat"])
@pytest.mark.parametrize(
    "text",
    ["#EXTM3U\n#EXTINF:3,\n{0}\n", "ffconcat version 1.0\nfile '{0}'\n", "#EXTM3U\nfile://{0}\n"],
    ids=["hls", "concat", "address"],
)
def test_a_playlist_reaches_no_other_file(tmp_path: Path, ending: str, text: str) -> None:
    secret = tmp_path / "secret.wav"
    soundfile.write(secret, speech(), RATE)
    path = tmp_path / f"list.{ending}"
    path.write_text(text.format(secret))
    with pytest.raises(AudioError, match="is no audio"):
        read_audio(path)


def test_the_cases_of_the_collection(speech_cases: Path) -> None:
    durations = {
        "opus_no_eos.opus": 2.66,
        "size_zero.wav": 2.66,
        "ext_size_zero.wav": 2.66,
        "chained.opus": 5.32,
        "cat_twice.mp3": 5.32,
        "cat_twice.flac": 5.32,
        "float32_int_scaled.wav": 2.66,
    }
    for name, seconds in durations.items():
        waveform = read_audio(speech_cases / "audio" / name)
        assert abs(len(waveform) / RATE - seconds) <= 0.02, name
        assert 0.3 < float(waveform.abs().max()) <= 1.0
    with pytest.raises(IncompleteError, match=r"0\.001 s are missing") as caught:
        probe(speech_cases / "audio/more_16.wav")
    assert caught.value.seconds == pytest.approx(2.66)


def test_many_are_probed_by_threads(tmp_path: Path) -> None:
    paths = []
    for number in range(24):
        kind = next(k for k in KINDS if str(k) == "aac.m4a")
        paths.append(write(tmp_path / f"{number}.m4a", kind, speech()[: 8000 + 400 * number], RATE))
    found = probe_all(paths, n_workers=8)
    for number, info in enumerate(found):
        assert isinstance(info, AudioInfo)
        assert abs(info.duration - (8000 + 400 * number) / RATE) <= 0.15
