"""Recordings of noise: the files of a folder, the part of them that may be heard, their samples.

What training hears must not be what robustness is measured with. A recording therefore belongs
to one of two parts for good, by its name alone::

    key = path relative to the folder, with "/", without the ending and without "-A" to "-Z"
          at its end, which number the takes of one recording (as in ESC-50)
    part = "test" if derive_seed(0, "noise part", key) is divisible by 3, otherwise "train"

so that about a third is for tests. Adding, removing or converting recordings leaves the others
where they are; naming another level of the same tree as the folder does not.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePath
from typing import Literal

import torch
from torch import Tensor

from deepspeech2.audio.reading import AUDIO_SUFFIXES, read_audio
from deepspeech2.errors import AudioError, ConfigError
from deepspeech2.hardware import cpus
from deepspeech2.paths import resolve
from deepspeech2.processes import cancelling
from deepspeech2.seeding import derive_seed
from deepspeech2.transforms.checks import require, require_positive

logger = logging.getLogger(__name__)

Part = Literal["all", "train", "test"]
PARTS = ("all", "train", "test")

_TAKE = re.compile(r"-[A-Z]$")


@dataclass(frozen=True, slots=True)
class Clips:
    """Clips end to end in ``samples`` (N,) float32, with ``starts`` and ``lengths`` (C,) int64.

    ``names`` are their C paths relative to the folder.
    """

    samples: Tensor
    starts: Tensor
    lengths: Tensor
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Tensor:
        """(S,) the samples of one clip."""
        start, length = int(self.starts[index]), int(self.lengths[index])
        return self.samples[start : start + length]

    def to(self, device: torch.device) -> Clips:
        if self.samples.device == device:
            return self
        samples, starts, lengths = (
            each.to(device) for each in (self.samples, self.starts, self.lengths)
        )
        return replace(self, samples=samples, starts=starts, lengths=lengths)


class NoiseFolder:
    """The recordings below a folder, read when they are first asked for.

    Args:
        folder: relative to the repository's root, or absolute; searched recursively.
        part: which recordings: "train", "test", or "all" of them.
        sample_rate: in Hz, that they are converted to.

    Raises:
        ConfigError: the folder is missing, or holds no file of audio or none of this part.
    """

    def __init__(self, folder: str | Path, *, part: Part = "all", sample_rate: int = 16000) -> None:
        require_positive("sample_rate", sample_rate)
        require(part in PARTS, "part", part, f"one of {', '.join(PARTS)}")
        self.folder = resolve(folder)
        self.part = part
        self.sample_rate = sample_rate
        if not self.folder.is_dir():
            raise ConfigError(f"folder must be a folder of audio, but is missing: {self.folder}")
        found = sorted(
            path for path in self.folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES
        )
        if not found:
            raise ConfigError(f"folder must hold audio, but no file in it does: {self.folder}")
        self.n_found = len(found)
        self.files = [path for path in found if part in ("all", part_of(self._relative(path)))]
        if not self.files:
            raise ConfigError(
                f"part={part} holds none of the {len(found)} recordings of {self.folder}: add"
                " recordings, or take part=all"
            )

    @cached_property
    def clips(self) -> Clips:
        """The samples; recordings that cannot be read or are silent are named in the log.

        Raises:
            ConfigError: none is of use.
        """
        # Decoders release the interpreter lock; map keeps the order of the files.
        with cancelling(ThreadPoolExecutor(min(8, cpus()))) as pool:
            pairs = zip(self.files, pool.map(self._clip, self.files), strict=True)
            read = [(path, clip) for path, clip in pairs if clip is not None]
        if not read:
            raise ConfigError(f"folder must hold audio that is not silent, unlike {self.folder}")
        lengths = torch.tensor([len(clip) for _, clip in read])
        return Clips(
            torch.cat([clip for _, clip in read]),
            lengths.cumsum(0) - lengths,
            lengths,
            tuple(self._relative(path).as_posix() for path, _ in read),
        )

    def _relative(self, path: Path) -> Path:
        return path.relative_to(self.folder)

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
    """The part that a recording belongs to, see above.

    >>> part_of(PurePath("rain/1-17367-A.wav")) == part_of(PurePath("rain/1-17367-B.opus"))
    True
    """
    # A file system may spell an accent as one character or as two.
    key = unicodedata.normalize("NFC", _TAKE.sub("", relative.with_suffix("").as_posix()))
    return "train" if derive_seed(0, "noise part", key) % 3 else "test"
