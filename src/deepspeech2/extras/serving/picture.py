"""Spectrograms as small pictures."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deepspeech2.transforms import FrontEnd
from deepspeech2.transforms.features import Spectrogram
from deepspeech2.transforms.streaming_front_end import StreamingFrontEnd

_DARK, _BRIGHT = -11.0, 5.0  # natural logarithms of the power shown as black and as white
_WIDEST = 36_000  # columns of a picture: six minutes are drawn frame by frame


class Picture:
    """Columns of a spectrogram as the samples come."""

    def __init__(self, spectrogram: Spectrogram) -> None:
        self._stream = StreamingFrontEnd(FrontEnd(spectrogram))
        self._state = self._stream.start()
        self._seconds = spectrogram.seconds_per_frame

    def add(self, samples: Tensor, *, last: bool = False) -> dict[str, Any]:
        """The columns that samples (S,) add."""
        self._state, frames = self._stream.step(self._state, samples, last=last)
        return shrunk(frames, self._seconds)


def picture(
    spectrogram: Spectrogram, recording: Iterable[npt.NDArray[np.float32]]
) -> dict[str, Any]:
    """Of a whole recording, in blocks (S,)."""
    frames = []
    stream = StreamingFrontEnd(FrontEnd(spectrogram))
    state = stream.start()
    for block in recording:
        state, found = stream.step(state, torch.from_numpy(block))
        frames.append(found.cpu())
    frames.append(stream.step(state, torch.zeros(0), last=True)[1].cpu())
    return shrunk(torch.cat(frames), spectrogram.seconds_per_frame)


def shrunk(frames: Tensor, seconds: float) -> dict[str, Any]:
    """(T, F) of so many seconds a frame, as bytes: columns from left to right, low to high."""
    together = max(1, -(-len(frames) // _WIDEST))
    whole = len(frames) // together * together
    columns = frames[:whole].view(-1, together, frames.shape[1]).mean(1) if whole else frames
    shares = ((columns.cpu() - _DARK) / (_BRIGHT - _DARK)).clamp(0, 1)
    values = (255 * shares).round().numpy().astype(np.uint8)
    return {
        "width": len(values),
        "height": frames.shape[1],
        "seconds_per_column": round(seconds * together, 6),
        "data": base64.b64encode(values.tobytes()).decode("ascii"),
    }
