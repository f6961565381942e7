"""The network's output for a whole corpus, computed once and kept on disk."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from deepspeech2.checkpoint import network_digest
from deepspeech2.datasets.loader import SpeechLoader
from deepspeech2.inference.recognizer import Recognizer
from deepspeech2.types import Batch, Padded, Utterance
from deepspeech2.user_cache import read_sealed, write_sealed

_FORMAT = "deepspeech2-emissions-1"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Emissions:
    """Log-probabilities of utterances that have a reference.

    Attributes:
        log_probs: (T_i, V) float32, for each utterance.
        references: their normalised transcripts.
    """

    log_probs: list[Tensor]
    references: list[str]

    @property
    def n_frames(self) -> int:
        return sum(map(len, self.log_probs))

    def batches(self, size: int = 64) -> Iterator[tuple[Padded, list[str]]]:
        """Batches of utterances of like length, with their references."""
        order = sorted(range(len(self.log_probs)), key=lambda index: len(self.log_probs[index]))
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            yield (
                Padded.stack([self.log_probs[index] for index in chosen]),
                [self.references[index] for index in chosen],
            )


def emissions(
    recognizer: Recognizer, loader: SpeechLoader, path: Path, *, title: str | None
) -> Emissions:
    """Read the emissions at ``path``, or compute them and keep them there.

    Args:
        recognizer: whose network emits.
        loader: the corpus; utterances without a reference or with broken audio are left out.
        path: a file whose name says what it holds, see :func:`identity`.
        title: stands before the progress bar; None shows none.
    """
    if (kept := _kept(path)) is not None:
        return kept
    found = _compute(recognizer, loader, title)
    content = {
        "format": _FORMAT,
        "log_probs": torch.cat(found.log_probs) if found.log_probs else torch.zeros(0, 1),
        "lengths": [len(each) for each in found.log_probs],
        "references": found.references,
    }
    file = io.BytesIO()
    torch.save(content, file)
    try:
        write_sealed(path, file.getvalue())
    except OSError as error:
        _log.warning(
            "%s is computed anew each time: it cannot be written (%s); set tuner.emissions_dir to"
            " another folder",
            path,
            error,
        )
    return found


def _kept(path: Path) -> Emissions | None:
    """What an earlier call of this user wrote; None if there is none, or it was changed since."""
    written = read_sealed(path)
    if written is None:
        return None
    content = torch.load(io.BytesIO(written), map_location="cpu", weights_only=True)
    if content["format"] != _FORMAT:
        return None
    return Emissions(list(content["log_probs"].split(content["lengths"])), content["references"])


def identity(checkpoint: Path, utterances: tuple[Utterance, ...]) -> str:
    """A name that another network or another selection of recordings does not share.

    What a checkpoint holds besides its network, decoder and calibration for one, changes nothing.

    Raises:
        CheckpointError: the file is none.
    """
    digest = hashlib.sha256(network_digest(checkpoint).encode())
    for each in utterances:
        status = each.audio.stat() if each.audio.exists() else None
        heard = (each.id, str(each.audio.resolve()), each.offset, each.duration, each.text)
        changed = (status.st_size, status.st_mtime_ns) if status else ()
        digest.update(repr((*heard, *changed)).encode())
    return digest.hexdigest()[:16]


@torch.inference_mode()
def _compute(recognizer: Recognizer, loader: SpeechLoader, title: str | None) -> Emissions:
    found = Emissions([], [])
    sampler = loader.sampler
    total = sum(float(sampler.durations[batch].sum()) for batch in sampler.batches(0))
    layout = "{l_bar}{bar}| {n:.0f}/{total:.0f} s of audio [{elapsed}<{remaining}, {rate_fmt}]"
    bar = tqdm(
        total=total, desc=title, unit="s", bar_format=layout, leave=False, disable=title is None
    )
    with bar, closing(loader.pass_once()) as batches:
        for batch in batches:
            _add(found, recognizer, batch)
            bar.update(min(batch.duration, total - bar.n))
    return found


def _add(found: Emissions, recognizer: Recognizer, batch: Batch) -> None:
    if not len(batch):
        return
    waveforms = batch.waveforms.to(recognizer.device)
    rows = recognizer.pipeline.emissions(waveforms).to("cpu").unpad()
    for utterance, row in zip(batch.utterances, rows, strict=True):
        if utterance.text is not None:
            found.log_probs.append(row.float().clone())
            found.references.append(recognizer.text_encoder.normalize(utterance.text))
