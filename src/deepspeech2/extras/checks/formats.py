"""Whether audio of each kind can be read here: a short one is written and read back."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from deepspeech2.audio.reading import read_audio
from deepspeech2.errors import AudioError

FORMATS = {
    "flac": ("tone.flac", "FLAC", "PCM_16"),
    "wav": ("tone.wav", "WAV", "PCM_16"),
    "ogg-opus": ("tone.opus", "OGG", "OPUS"),
    "m4a": ("tone.m4a", "ipod", "alac"),
}
"""By name: file, container and encoding, in the words of libsndfile, or of FFmpeg for m4a."""

_RATE = 16000
_FAINTEST = 0.5  # of the loudness that was written, after a lossy codec


def try_formats() -> tuple[tuple[str, str | None], ...]:
    """Every format with what goes wrong, or None."""
    try:
        with tempfile.TemporaryDirectory(prefix="preflight-") as folder:
            return tuple((name, _fault(Path(folder), *how)) for name, how in FORMATS.items())
    except OSError as error:
        return tuple((name, f"no temporary folder ({error})") for name in FORMATS)


def _fault(folder: Path, file: str, container: str, encoding: str) -> str | None:
    tone = 0.25 * np.sin(2 * np.pi * 440 * np.arange(_RATE // 5) / _RATE)
    try:
        if container == "ipod":
            _write_with_ffmpeg(folder / file, tone, container, encoding)
        else:
            soundfile.write(folder / file, tone, _RATE, format=container, subtype=encoding)
        heard = read_audio(folder / file, sample_rate=_RATE).numpy()
    except (AudioError, soundfile.SoundFileError, OSError, ValueError, ImportError) as error:
        return str(error).replace(f"{folder}/", "")
    if len(heard) != len(tone):
        return f"{len(tone)} samples were written, but {len(heard)} read"
    if heard.std() < _FAINTEST * tone.std():
        return "a tone was written, but not read back"
    return None


def _write_with_ffmpeg(
    path: Path, tone: npt.NDArray[np.float64], container: str, encoding: str
) -> None:
    import av  # which is what may be missing

    with av.open(str(path), "w", format=container) as file:
        stream: Any = file.add_stream(encoding, rate=_RATE, layout="mono")
        samples = np.rint(32767 * tone).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(samples, "s16p", "mono")
        frame.sample_rate = _RATE
        file.mux([*stream.encode(frame), *stream.encode(None)])
