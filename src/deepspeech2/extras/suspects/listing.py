"""Listen to a corpus, and list its transcripts from the most suspicious on."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deepspeech2.datasets.corpus import Corpus
from deepspeech2.datasets.loader import SpeechLoader
from deepspeech2.errors import ConfigError
from deepspeech2.extras.suspects.evidence import Evidence, evidence
from deepspeech2.files import whole_folder, write_whole
from deepspeech2.inference import Recognizer
from deepspeech2.paths import move_aside
from deepspeech2.progress import AudioBar
from deepspeech2.tables import text_table
from deepspeech2.types import Failure, Utterance

LIST, ORDER = "suspects.jsonl", "order.tsv"
_SHOWN = 40  # characters of a text in the table
_MANIFEST = ("id", "audio_filepath", "offset", "duration", "text", "speaker")


@dataclass(frozen=True, slots=True)
class Suspect:
    """An utterance of the part ``part`` of a corpus, and what speaks against its transcript."""

    utterance: Utterance
    part: str
    evidence: Evidence

    def row(self, threshold: float) -> dict[str, Any]:
        """Return it as plain values; a suspicion of None is beyond any number."""
        found, utterance = self.evidence, self.utterance
        return {
            "id": utterance.id,
            "part": self.part,
            "suspicion": _number(found.suspicion),
            "kept": found.suspicion <= threshold,
            "why_not": found.why_not,
            "audio_filepath": str(utterance.audio.resolve()),
            "offset": utterance.offset,
            "duration": utterance.duration,
            "speaker": utterance.speaker,
            "text": utterance.text,
            "heard": found.heard,
            "unsaid": [asdict(each) for each in found.unsaid],
            "unwritten": [asdict(each) for each in found.unwritten],
            "ctc": _number(found.ctc),
            "worse": _number(found.worse),
            "words": _number(found.words),
            "cer": _number(found.cer),
        }

    @property
    def reason(self) -> str:
        """The first words that are not said, and the first that are not written."""
        found = self.evidence
        if found.why_not is not None:
            return found.why_not
        reasons = []
        if found.unsaid:
            words = " ".join(each.word for each in found.unsaid)
            reasons.append(f"not said: {_short(words)}")
        if found.unwritten:
            first = found.unwritten[0]
            more = f" and {len(found.unwritten) - 1} more" * (len(found.unwritten) > 1)
            reasons.append(f"not written: {_short(first.heard)} at {first.start:.1f} s{more}")
        return "; ".join(reasons) or f"heard as {_short(found.heard)}"


def _short(text: str) -> str:
    return textwrap.shorten(text, _SHOWN, placeholder=" ...") or "..."


def _number(value: float) -> float | None:
    return round(value, 4) if abs(value) < float("inf") else None


def listen(
    recognizer: Recognizer, loader: SpeechLoader, part: str, title: str | None
) -> tuple[list[Suspect], list[Failure]]:
    """Compare every transcript of a corpus with its recording; also return what cannot be read.

    Args:
        title: of the progress bar; None shows none.
    """
    suspects: list[Suspect] = []
    failures: list[Failure] = []
    for heard in emissions(recognizer, loader, title):
        if isinstance(heard, Failure):
            failures.append(heard)
            continue
        utterance, log_probs = heard
        found = evidence(
            log_probs,
            utterance.text or "",
            text_encoder=recognizer.text_encoder,
            seconds_per_frame=recognizer.seconds_per_frame,
        )
        suspects.append(Suspect(utterance, part, found))
    return suspects, failures


@torch.no_grad()
def emissions(
    recognizer: Recognizer, loader: SpeechLoader, title: str | None
) -> Iterator[tuple[Utterance, Tensor] | Failure]:
    """Yield each utterance of a corpus with its log-probabilities (T, V), on the CPU."""
    total = float(loader.sampler.durations.sum())
    with AudioBar(total, title) as bar, closing(loader.pass_once()) as batches:
        for batch in batches:
            yield from batch.failures
            bar.advance(sum(each.utterance.duration for each in batch.failures))
            if not len(batch):
                continue
            waveforms = batch.waveforms.to(recognizer.pipeline.device)
            rows = recognizer.pipeline.emissions(waveforms).to("cpu").unpad()
            for utterance, log_probs in zip(batch.utterances, rows, strict=True):
                yield utterance, log_probs.float()
                bar.advance(utterance.duration)


def claim(folder: Path, *, override: bool) -> None:
    """Check that a list can be written to ``folder``.

    Raises:
        ConfigError: it contains files, and either ``override`` is not asked for or they are no
            earlier list.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / LIST).is_file():
        raise ConfigError(f"{folder} contains other files: choose another suspects.save_path")
    if not override:
        raise ConfigError(
            f"{folder} contains a list already: choose another suspects.save_path, or move it"
            " aside with suspects.override=true"
        )


def write(
    folder: Path, suspects: Sequence[Suspect], corpora: Mapping[str, Corpus], threshold: float
) -> None:
    """Write ``suspects.jsonl``, and ``<part>.jsonl`` with what is kept; all or none.

    ``order.tsv`` has each id with its suspicion, which ``deepspeech2 label --order`` takes.

    A part whose recordings are no files of their own has no such manifest.

    Args:
        suspects: from the most suspicious on.
        corpora: the parts, in whose order manifests are.
        threshold: suspicion up to which an utterance is kept.
    """
    rows = [each.row(threshold) for each in suspects]
    kept = {(row["part"], row["id"]): row for row in rows if row["kept"]}
    with whole_folder(folder) as fresh:
        for part, corpus in corpora.items():
            if listable(corpus):
                chosen = [kept[part, each.id] for each in corpus if (part, each.id) in kept]
                lines = _lines([{key: row[key] for key in _MANIFEST} for row in chosen])
                write_whole(fresh / f"{part}.jsonl", lines)
        scores = (f"{each.utterance.id}\t{each.evidence.suspicion:.4f}\n" for each in suspects)
        write_whole(fresh / ORDER, "".join(scores))
        write_whole(fresh / LIST, _lines(rows))
        if folder.exists() and any(folder.iterdir()):
            move_aside(folder)


def listable(corpus: Corpus) -> bool:
    """Whether a manifest can name the recordings of ``corpus``: files, all channels together."""
    return all(each.channel is None and each.audio.is_file() for each in corpus)


def _lines(rows: Sequence[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def table(suspects: Sequence[Suspect]) -> str:
    """Return suspicion, id, and what is wrong, a line each."""
    rows = []
    for each in suspects:
        suspicion = each.evidence.suspicion
        shown = "-" if math.isinf(suspicion) else f"{suspicion:.2f}"
        rows.append([shown, each.utterance.id, each.reason])
    return text_table(["suspicion", "utterance", "why"], rows)
