"""The phones of transcripts, as labels of an auxiliary target."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from deepspeech2.audio.synthesis import Synthesizer
from deepspeech2.files import locked
from deepspeech2.types import Padded, Utterance
from deepspeech2.user_cache import read_sealed, user_folder, write_sealed

_log = logging.getLogger(__name__)


class PhoneTargets:
    """Labels of the phones that eSpeak NG says for each transcript, in context.

    Each distinct text is asked for once, and all of a corpus are kept in the user's cache.

    Args:
        texts: transcripts.
        language: a voice of eSpeak NG, as "en-us".
        normalize: what is done to a text first.
        show: whether there is a progress bar.

    Attributes:
        phones: those that occur, in the order of their labels, which begin at 1: 0 is the blank.

    Raises:
        ConfigError: there is no such language.
        SpeechError: eSpeak NG cannot be loaded.
    """

    def __init__(
        self,
        texts: Iterable[str],
        language: str,
        normalize: Callable[[str], str] = str,
        *,
        show: bool = False,
    ) -> None:
        # capitals would be spelt out
        normalized = {text: normalize(text).lower() for text in texts}
        phones = _phones(sorted(set(normalized.values())), language, show)
        self.phones = tuple(sorted({phone for each in phones.values() for phone in each}))
        numbers = {phone: place for place, phone in enumerate(self.phones, start=1)}
        labels = {
            text: np.array([numbers[phone] for phone in each], np.uint16).tobytes()
            for text, each in phones.items()
        }
        self._labels = {text: labels[each] for text, each in normalized.items()}

    def __call__(self, utterances: Sequence[Utterance]) -> Padded:
        """Return the labels (B, L) of utterances, on the CPU; no transcript has none."""
        rows = [self._labels.get(utterance.text or "", b"") for utterance in utterances]
        found = [np.frombuffer(row, np.uint16).astype(np.int64) for row in rows]
        return Padded.stack([torch.from_numpy(each) for each in found])

    def frames(self, utterance: Utterance) -> int:
        """Return the fewest frames that CTC aligns with an utterance's phones."""
        labels = self([utterance]).data[0]
        return len(labels) + int((labels[1:] == labels[:-1]).sum())


def _phones(texts: Sequence[str], language: str, show: bool) -> dict[str, list[str]]:
    """Return the phones of each distinct text, from the user's cache if they are there."""
    synthesizer = Synthesizer()
    path = _place(synthesizer, texts, language)
    with locked(path.with_suffix(".lock")):  # other ranks wait for the first
        content = read_sealed(path)
        if content is None:
            bar = tqdm(texts, "phones", disable=not show, leave=False, dynamic_ncols=True)
            found = synthesizer.phones(bar, language)
            content = json.dumps(found, ensure_ascii=False).encode()
            try:
                write_sealed(path, content)
            except OSError as error:
                _log.warning("%s cannot be written, so phones are found again: %s", path, error)
    return dict(zip(texts, json.loads(content), strict=True))


def _place(synthesizer: Synthesizer, texts: Sequence[str], language: str) -> Path:
    digest = hashlib.blake2b(synthesizer.library_path.read_bytes(), digest_size=16)
    digest.update(json.dumps([language, *texts]).encode())
    return user_folder() / "phones" / f"{digest.hexdigest()}.json"
