"""Speech in the containers and codecs that phones, browsers, cameras and recorders write."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float64]


class Kind(NamedTuple):
    """A container's ending and FFmpeg's names of it and of a codec."""

    ending: str
    muxer: str
    codec: str
    rate: int = 16000
    slack: float = 0.02
    """Seconds by which the coding lengthens what it keeps, where the file does not say so."""
    likeness: float = 0.95
    """The least correlation with what was written."""

    def __str__(self) -> str:
        return f"{self.codec}.{self.ending}"


FRAMES = 0.15  # of codecs that fill up their first and last frame and say nothing
KINDS = (
    *(
        Kind("wav", "wav", codec)
        for codec in ("pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_u8", "pcm_f32le", "pcm_f64le")
    ),
    *(Kind("wav", "wav", codec) for codec in ("pcm_alaw", "pcm_mulaw")),
    *(Kind("wav", "wav", codec, slack=FRAMES) for codec in ("adpcm_ms", "adpcm_ima_wav")),
    Kind("w64", "w64", "pcm_s16le"),
    Kind("aiff", "aiff", "pcm_s16be"),
    Kind("aiff", "aiff", "pcm_s24be"),
    Kind("au", "au", "pcm_s16be"),
    Kind("au", "au", "pcm_mulaw"),
    Kind("caf", "caf", "pcm_s16le"),
    Kind("voc", "voc", "pcm_s16le"),
    Kind("flac", "flac", "flac"),
    Kind("ogg", "ogg", "libopus", 48000),
    Kind("opus", "opus", "libopus", 48000),
    Kind("mp3", "mp3", "libmp3lame"),
    Kind("mp2", "mp2", "mp2", slack=FRAMES),
    Kind("m4a", "ipod", "aac", slack=0.08),
    Kind("m4a", "ipod", "alac"),
    Kind("mp4", "mp4", "aac", slack=0.08),
    Kind("mp4", "mp4", "ac3", 48000, slack=FRAMES),
    Kind("mp4", "mp4", "libopus", 48000),
    Kind("mov", "mov", "aac", slack=0.08),
    Kind("mov", "mov", "pcm_s16le"),
    Kind("mov", "mov", "alac"),
    Kind("3gp", "3gp", "aac", slack=0.08),
    Kind("3gp", "3gp", "libopencore_amrnb", 8000, FRAMES, 0.4),
    Kind("3g2", "3g2", "aac", slack=0.08),
    Kind("webm", "webm", "libopus", 48000),
    Kind("weba", "webm", "libopus", 48000),
    Kind("mkv", "matroska", "libopus", 48000),
    Kind("mkv", "matroska", "aac", slack=FRAMES),
    Kind("mkv", "matroska", "pcm_s16le"),
    Kind("mka", "matroska", "libmp3lame", slack=FRAMES),
    Kind("aac", "adts", "aac", slack=FRAMES),
    Kind("amr", "amr", "libopencore_amrnb", 8000, FRAMES, 0.4),
    Kind("ac3", "ac3", "ac3", 48000, FRAMES),
    Kind("eac3", "eac3", "eac3", 48000, FRAMES),
    Kind("wma", "asf", "wmav2", 16000, FRAMES),
    Kind("wma", "asf", "wmav1", 16000, FRAMES),
    Kind("avi", "avi", "pcm_s16le"),
    Kind("avi", "avi", "libmp3lame", slack=FRAMES),
    Kind("flv", "flv", "aac", 44100, FRAMES),
    Kind("wv", "wv", "wavpack"),
    Kind("tta", "tta", "tta"),
)


def write(path: Path, kind: Kind, samples: Samples, rate: int, **options: Any) -> Path:
    """Encode (n, C) of ``rate`` Hz.

    Args:
        options: ``video``: a picture track stands before the sound; ``tracks``: how many of sound.
    """
    layout = {1: "mono", 2: "stereo"}[samples.shape[1]]
    wide = kind.codec.startswith("pcm_f")
    with av.open(str(path), "w", format=kind.muxer) as container:
        if options.get("video"):
            picture = container.add_stream("mpeg4", rate=10)
            picture.width = picture.height = 64
            picture.pix_fmt = "yuv420p"
        streams: list[Any] = [
            container.add_stream(kind.codec, rate=kind.rate, layout=layout)
            for _ in range(options.get("tracks", 1))
        ]
        for stream in streams:
            if kind.codec in ("tta", "wavpack"):
                stream.format = "s16" if kind.codec == "tta" else "s16p"
            stream.bit_rate = 32000 if kind.codec.startswith("wma") else 64000
            if "amr" in kind.codec:
                stream.bit_rate = 12200
        if options.get("video"):
            for _ in range(20):
                frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")
                container.mux(picture.encode(frame))
            container.mux(picture.encode(None))
        for number, stream in enumerate(streams):
            shown = samples if number == 0 else np.zeros_like(samples)
            data = shown.astype(np.float32) if wide else np.rint(32767 * shown).astype(np.int16)
            whole = av.AudioFrame.from_ndarray(
                data.reshape(1, -1), "flt" if wide else "s16", layout
            )
            whole.sample_rate = rate
            if not stream.codec_context.is_open:
                stream.codec_context.open()
            size = stream.codec_context.frame_size or 1024
            converter = av.AudioResampler(stream.format, layout, kind.rate, frame_size=size)
            for each in (*converter.resample(whole), *converter.resample(None)):
                container.mux(stream.encode(each))
            container.mux(stream.encode(None))
    return path
