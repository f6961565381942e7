"""Recordings of noise: the files of a folder, their part (train or test) and their samples.

Robustness must not be measured with noise from training. So the name of a recording alone
determines its part::

    key = path relative to the folder, with "/", without the ending and without "-A" to "-Z"
          at its end, which number the takes of one recording (as in ESC-50)
    part = "test" if derive_seed(0, "noise part", key) is divisible by 3, otherwise "train"

About a third is for tests. Adding, removing or converting recordings does not change the part of
the others; choosing another folder of the same tree does.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath
from typing import Literal, get_args

import torch
from torch import Tensor

from deepspeech2.audio.reading import AUDIO_SUFFIXES, read_audio
from deepspeech2.errors import AudioError, ConfigError
from deepspeech2.hardware import cpus
from deepspeech2.paths import resolve
from deepspeech2.processes import cancelling
from deepspeech2.seeding import derive_seed
from deepspeech2.transforms.transform import require, require_positive

logger = logging.getLogger(__name__)

Part = Literal["all", "train", "test"]

_TAKE = re.compile(r"-[A-Z]$")


@dataclass(frozen=True, slots=True)
class Clips:
    """C clips, concatenated.

    Attributes:
        samples: (N,) float32.
        starts, lengths: (C,) int64.
        names: C paths relative to the folder.
    """

    samples: Tensor
    starts: Tensor
    lengths: Tensor
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Tensor:
        """Return the samples (S,) of one clip."""
        start, length = int(self.starts[index]), int(self.lengths[index])
        return self.samples[start : start + length]

    def to(self, device: torch.device) -> Clips:
        if self.samples.device == device:
            return self
        samples, starts = self.samples.to(device), self.starts.to(device)
        return Clips(samples, starts, self.lengths.to(device), self.names)


class NoiseFolder:
    """The recordings in a folder, read when they are first needed.

    Args:
        folder: relative to the repository's root, or absolute; searched recursively.
        part: "train", "test", or "all" recordings.
        sample_rate: in Hz, to which they are converted.

    Raises:
        ConfigError: the folder is missing, or contains no audio file or none of this part.
    """

    def __init__(self, folder: str | Path, *, part: Part = "all", sample_rate: int = 16000) -> None:
        require_positive("sample_rate", sample_rate)
        require(part in get_args(Part), "part", part, f"one of {', '.join(get_args(Part))}")
        self.folder = resolve(folder)
        self.part = part
        self.sample_rate = sample_rate
        if not self.folder.is_dir():
            raise ConfigError(f"folder must be a folder of audio, but is missing: {self.folder}")
        found = sorted(
            path for path in self.folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES
        )
        if not found:
            raise ConfigError(f"folder must contain audio files, but has none: {self.folder}")
        self.n_found = len(found)
        self.files = [
            path for path in found if part in ("all", part_of(path.relative_to(self.folder)))
        ]
        if not self.files:
            raise ConfigError(
                f"part={part} contains none of the {len(found)} recordings of {self.folder}: add"
                " recordings, or take part=all"
            )

    @cached_property
    def clips(self) -> Clips:
        """The samples; recordings that cannot be read or are silent are logged and left out.

        Raises:
            ConfigError: none is usable.
        """
        # decoders release the interpreter lock; map keeps the order of the files
        with cancelling(ThreadPoolExecutor(min(8, cpus()))) as pool:
            pairs = zip(self.files, pool.map(self._clip, self.files), strict=True)
            read = [(path, clip) for path, clip in pairs if clip is not None]
        if not read:
            raise ConfigError(f"folder must contain audio that is not silent, unlike {self.folder}")
        lengths = torch.tensor([len(clip) for _, clip in read])
        return Clips(
            torch.cat([clip for _, clip in read]),
            lengths.cumsum(0) - lengths,
            lengths,
            tuple(path.relative_to(self.folder).as_posix() for path, _ in read),
        )

    def _clip(self, path: Path) -> Tensor | None:
        try:
            clip = read_audio(path, sample_rate=self.sample_rate)
        except AudioError as error:
            logger.warning("noise left out: %s", error)
            return None
        if not clip.any():
            logger.warning("noise left out: %s is silent", path)
            return None
        return clip.float()


def part_of(relative: PurePath) -> Literal["train", "test"]:
    """Return the part of a recording, by the rule at the top of this module.

    >>> part_of(PurePath("rain/1-17367-A.wav")) == part_of(PurePath("rain/1-17367-B.opus"))
    True
    """
    # a file system may write an accented letter as one character or as two
    key = unicodedata.normalize("NFC", _TAKE.sub("", relative.with_suffix("").as_posix()))
    return "train" if derive_seed(0, "noise part", key) % 3 else "test"
