"""Whether audio of each kind can be read here: a short one is written and read back."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import soundfile

from src.audio.reading import read_audio
from src.errors import AudioError

FORMATS = {
    "flac": ("tone.flac", "FLAC", "PCM_16"),
    "wav": ("tone.wav", "WAV", "PCM_16"),
    "ogg-opus": ("tone.opus", "OGG", "OPUS"),
}
"""By name: file, container and encoding, in the words of libsndfile."""

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
        soundfile.write(folder / file, tone, _RATE, format=container, subtype=encoding)
        heard = read_audio(folder / file, sample_rate=_RATE).numpy()
    except (AudioError, soundfile.SoundFileError, OSError, ValueError) as error:
        return str(error).replace(f"{folder}/", "")
    if len(heard) != len(tone):
        return f"{len(tone)} samples were written, but {len(heard)} read"
    if heard.std() < _FAINTEST * tone.std():
        return "a tone was written, but not read back"
    return None
