"""The corpus that needs no download: short sentences, spoken by eSpeak NG."""

from __future__ import annotations

from pathlib import Path

from deepspeech2.datasets.librispeech import LibriSpeechCorpus
from deepspeech2.datasets.spoken.render import ensure_corpus
from deepspeech2.datasets.spoken.script import PARTS
from deepspeech2.errors import ConfigError
from deepspeech2.paths import resolve

__all__ = ["SpokenCorpus"]


class SpokenCorpus(LibriSpeechCorpus):
    """A part of the built-in corpus, which is spoken once, when it is first asked for.

    About 43 minutes of training and 3.6 minutes each of validation and test, with 176 different
    words. The parts share neither a sentence nor a voice. It lies in LibriSpeech's layout, as
    FLAC at 16 kHz, the same on every machine of the same kind.

    Args:
        part: "train", "val" or "test".
        data_dir: where it lies or is written to; a relative path counts from the repository's
            root.
        n_workers: processes that speak; None for one for each core.

    The other arguments are those of :class:`LibriSpeechCorpus`.

    Raises:
        ConfigError: ``part`` is unknown, ``data_dir`` holds something else, or an option is out
            of range.
        SpeechError: eSpeak NG cannot be loaded, or the files cannot be written.
    """

    def __init__(
        self,
        part: str,
        data_dir: str | Path = "data/datasets/spoken",
        *,
        hours: float | None = None,
        limit: int | None = None,
        max_audio_length: float | None = None,
        max_text_length: int | None = None,
        index_dir: str | Path | None = None,
        n_workers: int | None = None,
    ) -> None:
        if part not in PARTS:
            raise ConfigError(f"part must be one of {', '.join(PARTS)}, but is {part!r}")
        ensure_corpus(resolve(data_dir), n_workers=n_workers)
        super().__init__(
            part,
            data_dir,
            hours=hours,
            limit=limit,
            max_audio_length=max_audio_length,
            max_text_length=max_text_length,
            index_dir=index_dir,
            download=False,
        )
