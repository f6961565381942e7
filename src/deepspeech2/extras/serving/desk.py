"""Where uploaded recordings are recognised."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from starlette.exceptions import HTTPException

from deepspeech2.audio.blocks import blocks
from deepspeech2.audio.ffmpeg import DENSEST
from deepspeech2.audio.reading import AUDIO_SUFFIXES, probe
from deepspeech2.errors import AudioError
from deepspeech2.escaping import one_line
from deepspeech2.extras.serving.metrics import ServerMetrics
from deepspeech2.extras.serving.picture import picture
from deepspeech2.extras.serving.uploads import GoneError
from deepspeech2.inference import Recognizer
from deepspeech2.settings import ServeSettings
from deepspeech2.transcripts import Transcript


class Desk:
    """Takes uploaded recordings; of each nothing is left when it is answered."""

    def __init__(
        self, recognizer: Recognizer, settings: ServeSettings, metrics: ServerMetrics
    ) -> None:
        self._recognizer = recognizer
        self._settings = settings
        self._metrics = metrics
        self._stopped = False

    def stop(self) -> None:
        """End what is being transcribed, at its next piece."""
        self._stopped = True

    def transcribe(
        self, file: BinaryIO, name: str, left: threading.Event, *, drawn: bool
    ) -> tuple[Transcript, Any]:
        """The transcript, and its spectrogram if that is wanted.

        Args:
            left: set once nobody waits for it any more; the work then ends at its next piece.

        Raises:
            HTTPException: 413 for what is too long, 422 for what is no sound.
        """

        def go_on(seconds: float) -> None:
            if left.is_set():
                raise GoneError
            if self._stopped:
                raise HTTPException(503, "the server is being ended")

        suffix = Path(name).suffix.lower()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"audio{suffix if suffix in AUDIO_SUFFIXES else ''}"
            with path.open("wb") as copy:
                while part := file.read(1 << 20):
                    go_on(0.0)
                    copy.write(part)
            try:
                return self._heard(path, one_line(name), go_on, drawn)
            except AudioError as error:
                problem = str(error).replace(str(path), one_line(name))
                raise HTTPException(422, problem) from error

    def _heard(
        self, path: Path, name: str, go_on: Callable[[float], None], drawn: bool
    ) -> tuple[Transcript, Any]:
        info = probe(path, partial=True, most=self._settings.max_seconds)
        seconds, longest = info.duration, self._settings.max_seconds
        if seconds > longest:
            raise HTTPException(
                413, f"{name} lasts {seconds:.0f} s, and a recording may last {longest:g} s at most"
            )
        if seconds * info.sample_rate * info.channels > longest * DENSEST:
            raise HTTPException(
                413,
                f"{name} holds {seconds:.0f} s of {info.channels} channels at {info.sample_rate}"
                " Hz, which is more than a recording may hold",
            )
        start = time.perf_counter()
        heard = self._recognizer.transcribe(path, heard=go_on)
        self._metrics.took.observe(time.perf_counter() - start)
        self._metrics.audio.inc(seconds)
        rate = self._recognizer.sample_rate
        spectrogram = self._recognizer.pipeline.front_end.features
        there = blocks(path, sample_rate=rate, duration=seconds)
        if heard.error is not None:
            heard = replace(heard, error=heard.error.replace(str(path), name))
        return heard, picture(spectrogram, there) if drawn else None
