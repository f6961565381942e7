"""Decode the files of phones, browsers and cameras with FFmpeg's libraries in PyAV."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Generator, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from deepspeech2.audio.containers import begins_like_a_recording
from deepspeech2.console import announce
from deepspeech2.errors import AudioError

log = logging.getLogger(__name__)

Samples = npt.NDArray[np.float32]

SUFFIXES = (
    ".3g2", ".3gp", ".aac", ".ac3", ".amr", ".asf", ".avi", ".eac3", ".flv", ".m4a", ".m4b", ".m4v",
    ".mka", ".mkv", ".mov", ".mp2", ".mp4", ".mpeg", ".mpg", ".tta", ".weba", ".webm", ".wma",
    ".wmv", ".wv",
)  # fmt: skip
"""Endings, in lower case, of files that libsndfile does not read."""

_KINDS = (
    "aac,ac3,aiff,amr,asf,au,avi,caf,eac3,flac,flv,matroska,webm,mov,mp4,m4a,3gp,3g2,mp3,mpeg,"
    "mpegts,nistsphere,ogg,tta,voc,w64,wav,wv"
)
"""No playlists, which name other files and addresses."""
DENSEST = 2 * 96_000
"""Samples a second of a recording, at most: silence is packed so well that bytes limit nothing."""
_READS = 100_000  # of a file until its header is read
_COUNTING = frozenset(("flv", "matroska", "mov", "tta", "wv"))
"""Containers that note the length of all their sound."""
_PADDING = 0.25  # seconds that a container may announce beyond what there is: codecs fill up frames


class FfmpegFile:
    """A recording as FFmpeg decodes it; of several sound tracks the first.

    Args:
        starts: bytes at which the recordings begin that were joined into the file.
        most: seconds after which ``frames`` counts no further, or the samples of all channels in
            them at :data:`DENSEST`; None counts to the end.

    Attributes:
        samplerate: Hz; what comes at another rate later in the file is converted.
        channels: as many as there are at the start.

    Raises:
        AudioError: it is no recording, or nothing of it can be decoded.
    """

    format = "FFmpeg"

    def __init__(self, path: Path, starts: Sequence[int] = (0,), most: float | None = None) -> None:
        self._path, self._starts, self._most = path, tuple(starts), most
        self._begin()

    def _begin(self) -> None:
        self._blocks = _decoded(self._path, self._starts)
        self._pending: Samples = np.zeros((0, 0), np.float32)
        self._position = 0
        first = next(self._blocks, None)
        if first is None:
            raise AudioError(f"{self._path} is damaged or cut off: no sample of it can be decoded")
        self.samplerate, self._pending = first
        self.channels = self._pending.shape[1]

    @property
    def _contents(self) -> _Contents:
        status = self._path.stat()
        return _measure(self._path, self._starts, self._most, status.st_size, status.st_mtime_ns)

    @property
    def frames(self) -> int:
        """Samples of a channel: what can be decoded, whatever a header says."""
        return self._contents.frames

    @property
    def subtype(self) -> str:
        """FLOAT where samples are stored so."""
        return "FLOAT" if self._contents.is_float else "PCM"

    @property
    def missing(self) -> float:
        """Seconds that the container announces beyond that."""
        if len(self._starts) > 1:
            return 0.0
        lacking = self._contents.announced - self.frames / self.samplerate
        return lacking if lacking > _PADDING else 0.0

    def seek(self, frame: int) -> None:
        """Go on at ``frame``, which is reached by decoding: no header is trusted."""
        if frame < self._position:
            self.close()
            self._begin()
        while self._position < frame and len(self._take(min(frame - self._position, 2**20))):
            pass

    def read(self, frames: int, dtype: str = "float32", always_2d: bool = True) -> Samples:
        """(n, channels), n smaller than ``frames`` at the end alone."""
        parts: list[Samples] = []
        while frames > 0 and len(part := self._take(frames)):
            parts.append(part)
            frames -= len(part)
        return np.concatenate(parts) if parts else np.zeros((0, self.channels), np.float32)

    def _take(self, most: int) -> Samples:
        if not len(self._pending):
            _, self._pending = next(self._blocks, (0, self._pending))
        taken, self._pending = self._pending[:most], self._pending[most:]
        self._position += len(taken)
        return taken

    def close(self) -> None:
        self._blocks.close()


class _Contents(NamedTuple):
    frames: int
    announced: float
    is_float: bool


@lru_cache(maxsize=4096)
def _measure(
    path: Path, starts: tuple[int, ...], most: float | None, size: int, changed: int
) -> _Contents:
    """Decode the file to learn its length; done once as long as the file does not change."""
    frames = 0
    for rate, samples in _decoded(path, starts):
        frames += len(samples)
        too_long = most is not None and frames > most * rate
        if too_long or (most is not None and samples.shape[1] * frames > most * DENSEST):
            return _Contents(frames, 0.0, False)
    with _opened(path, 0, starts[1] if len(starts) > 1 else None) as container:
        stream = container.streams.audio[0]
        tracks = len(container.streams)
        if tracks > 1:
            announce(log, "%s: of its %d tracks only the first with sound is read", path, tracks)
        announced = 0.0
        if _COUNTING.intersection(container.format.name.split(",")):
            if stream.duration and stream.time_base:
                announced = float(stream.duration * stream.time_base)
            elif container.duration and tracks == 1:
                announced = container.duration / 1e6
        return _Contents(frames, announced, stream.codec_context.name.startswith("pcm_f"))


def _decoded(path: Path, starts: tuple[int, ...]) -> Generator[tuple[int, Samples], None, None]:
    """Yield the rate and samples (n, C); all have the rate and channels of the first."""
    import av  # slow to load, and most recordings do without it

    first: Any = None
    try:
        for start, end in zip(starts, (*starts[1:], None), strict=True):
            with _opened(path, start, end) as container:
                converter, shape = None, None
                for frame in _frames(container, path):
                    first = first or frame
                    if (frame.format.name, frame.layout.name, frame.sample_rate) != shape:
                        yield from _converted(converter, None)
                        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
                        converter = av.AudioResampler("flt", first.layout.name, first.sample_rate)
                    frame.pts = None  # gaps and jumps of time stamps are no sound
                    yield from _converted(converter, frame)
                yield from _converted(converter, None)
    except (av.error.FFmpegError, ValueError) as error:
        raise AudioError(f"{path} is damaged: {error}") from error


def _converted(converter: Any, frame: Any) -> Iterator[tuple[int, Samples]]:
    for each in converter.resample(frame) if converter is not None else ():
        # packed: PyAV reads no more than eight planes
        samples = each.to_ndarray().reshape(-1, each.layout.nb_channels)
        if len(samples):
            yield each.sample_rate, samples


def _frames(container: Any, path: Path) -> Iterator[Any]:
    """Decode the first sound track; a damaged packet is passed over."""
    import av

    if not container.streams.audio:
        if not container.streams:
            raise AudioError(f"{path} is damaged or cut off: none of its tracks can be found")
        raise AudioError(f"{path} contains no sound: it has no audio track")
    stream = container.streams.audio[0]
    if stream.codec_context is None:
        raise AudioError(f"{path} contains sound in a coding that FFmpeg's libraries do not know")
    stream.codec_context.options = {"err_detect": "crccheck"}
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            yield from packet.decode()
        except av.error.EOFError:
            return
        except av.error.FFmpegError:
            continue  # behind a fault of the container itself there is no packet more


def _opened(path: Path, start: int, end: int | None) -> Any:
    import av

    try:
        source = Section(path, start, end, _READS)
        container = av.open(
            source,
            options={"format_whitelist": _KINDS, "protocol_whitelist": "", "ignore_length": "1"},
            metadata_errors="ignore",
        )
        source.reads_left = None
        return container
    except (av.error.FFmpegError, ValueError) as error:
        with path.open("rb") as file:
            known = begins_like_a_recording(file.read(256))
        if known:
            fault = "is damaged or cut off: neither libsndfile nor FFmpeg can make out its header"
        else:
            fault = "is no audio that libsndfile or FFmpeg can read"
        raise AudioError(f"{path} {fault}") from error


class Section(io.RawIOBase):
    """Bytes ``start`` to ``end`` of a file, as a file.

    Attributes:
        reads_left: how often it may be used before it seems to end; None: without limit.
    """

    def __init__(
        self, path: Path, start: int, end: int | None, reads_left: int | None = None
    ) -> None:
        super().__init__()
        self.reads_left = reads_left
        self._file = path.open("rb")
        self._start = start
        self._end = os.fstat(self._file.fileno()).st_size if end is None else end
        self._file.seek(start)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell() - self._start

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if self._used_up():
            offset, whence = 0, io.SEEK_END
        base = {io.SEEK_SET: self._start, io.SEEK_CUR: self._file.tell(), io.SEEK_END: self._end}
        self._file.seek(min(max(self._start, base[whence] + offset), self._end))
        return self.tell()

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._end - self._file.tell())
        if self._used_up():
            return b""
        return self._file.read(left if size < 0 else min(size, left))

    def readinto(self, buffer: Any) -> int:
        content = self.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def _used_up(self) -> bool:
        if self.reads_left:
            self.reads_left -= 1
        return self.reads_left == 0

    def close(self) -> None:
        self._file.close()
        super().close()
