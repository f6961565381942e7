"""The content of a prediction's JSON file: made, read back, and converted to other formats."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from deepspeech2.decoding import Word, fired
from deepspeech2.error_budget import ErrorBudget
from deepspeech2.evaluation import Evaluation, Recognized
from deepspeech2.files import safe_name, write_whole
from deepspeech2.inference.recognizer import Recognizer
from deepspeech2.inference.summary import Rejections
from deepspeech2.transcripts import FORMATS, Transcript
from deepspeech2.types import Hypothesis, Utterance

WHOLE = ("jsonl", "ctm")
"""Formats of which one file contains all recordings."""


def prediction_file(name: str, suffix: str = "json") -> str:
    """Return the file name for the utterance ``name``, without folders whatever the name is."""
    return f"{safe_name(name)}.{suffix}"


def recording_fields(utterance: Utterance, max_segment: float | None) -> dict[str, Any]:
    """Return what a prediction says about its recording.

    Args:
        max_segment: seconds of the pieces of longer recordings; None: they are never cut.
    """
    content = {
        "id": utterance.id,
        "audio_path": str(utterance.audio),
        "duration": round(utterance.duration, 3),
        "speaker": utterance.speaker,
    }
    if utterance.channel is not None:
        content["channel"] = utterance.channel
    if utterance.offset:
        content["offset"] = round(utterance.offset, 3)
    if max_segment is not None and utterance.duration > max_segment:
        content["max_segment"] = max_segment
    return content


def prediction(
    result: Recognized, recognizer: Recognizer, rejections: Rejections, max_segment: float | None
) -> dict[str, Any]:
    """Return the content of the file for a recognised utterance."""
    decoder = recognizer.decoder
    nbest = result.hypotheses[decoder.name]
    best, offset = nbest[0], result.utterance.offset
    content = {
        "pred_text": best.text,
        "text": result.reference,
        **recording_fields(result.utterance, max_segment),
        "decoder": decoder.name,
        **_details(best, recognizer, offset),
    }
    content |= rejections.judge(best.text, result.reference, content["confidence"])
    if decoder.hotwords:
        content["hotwords"] = list(fired(best.text, decoder.hotwords, recognizer.text_encoder))
    if len(nbest) > 1:
        content["nbest"] = [
            {
                "pred_text": each.text,
                "score": round(each.score, 4),
                **_details(each, recognizer, offset),
            }
            for each in nbest
        ]
    others = {name: each[0].text for name, each in result.hypotheses.items()}
    del others[decoder.name]
    if others:
        content["others"] = others
    if result.budgets:
        content["causes"] = {
            name: {cause: n for cause, n in asdict(budget).items() if n and cause != "words"}
            for name, budget in result.budgets.items()
        }
    return content


def _details(hypothesis: Hypothesis, recognizer: Recognizer, offset: float) -> dict[str, Any]:
    timed = recognizer.words(hypothesis)
    return {
        "confidence": round(recognizer.confidence.utterance(hypothesis, timed), 4),
        "words": [
            {
                "word": word.word,
                "start": round(word.start + offset, 3),
                "end": round(word.end + offset, 3),
                "confidence": round(word.confidence, 4),
            }
            for word in timed
        ],
    }


def read_prediction(path: Path) -> dict[str, Any] | None:
    """Read a prediction; None if there is none, or it cannot be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and "pred_text" in content else None


def recall(evaluation: Evaluation, contents: Iterable[Mapping[str, Any]], decoder: str) -> None:
    """Add predictions of an earlier run to ``evaluation``.

    Args:
        decoder: the name of the one that made ``pred_text``.
    """
    for content in contents:
        nbest = [each["pred_text"] for each in content.get("nbest", ())]
        texts = {name: [text] for name, text in content.get("others", {}).items()}
        texts[decoder] = nbest or [content["pred_text"]]
        if content["text"] is not None:
            known = {name: each for name, each in texts.items() if name in evaluation.scores}
            evaluation.score(content["text"], known)
            evaluation.account(_budgets(content))
        for phrase in content.get("hotwords", ()):
            evaluation.hot[decoder][phrase] += 1


def _budgets(content: Mapping[str, Any]) -> dict[str, ErrorBudget]:
    """Read the causes of errors back; empty if the file has none, or something else."""
    words = len(content["text"].split())
    try:
        return {
            name: ErrorBudget(words=words, **{cause: int(n) for cause, n in causes.items()})
            for name, causes in content["causes"].items()
        }
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
        return {}


def transcript_of(content: Mapping[str, Any]) -> Transcript:
    """Make a transcript from the content of a prediction."""
    words = tuple(Word(**word) for word in content.get("words", ()))
    return Transcript(
        text=content["pred_text"],
        words=words,
        confidence=content.get("confidence", 0.0),
        # times count from the start of the file, of which this may be a part
        duration=max([content["duration"], *(word.end for word in words)]),
        id=content["id"],
        audio=content["audio_path"],
        reference=content["text"],
        channel=content.get("channel"),
        error=content.get("error"),
    )


class OtherFormats:
    """Write predictions in other formats: a file for each, or one of ``WHOLE`` for all.

    Args:
        folder: of the files.
        formats: keys of ``FORMATS``, and ``jsonl``.
        overwrite: replace files that exist with another content.

    Attributes:
        spared: existing files that were not replaced.
    """

    def __init__(self, folder: Path, formats: Sequence[str], *, overwrite: bool) -> None:
        self.folder = folder
        self.spared: list[Path] = []
        self._formats = [name for name in formats if name != "json"]
        self._overwrite = overwrite

    def write(self, content: Mapping[str, Any], *, keep: bool) -> None:
        """Write the files of one prediction, unless they exist and are to be kept."""
        for name in self._formats:
            if name not in WHOLE:
                text = FORMATS[name](transcript_of(content))
                path = self.folder / prediction_file(content["id"], name)
                self._write(path, text, replace=not keep or not path.exists(), durable=False)

    def write_lists(self, contents: Sequence[Mapping[str, Any]], *, own_folder: bool) -> None:
        """Write the files that contain all predictions.

        Args:
            own_folder: nobody else writes into the folder.
        """
        for name in self._formats:
            if name in WHOLE:
                lines = [
                    json.dumps(content, ensure_ascii=False) + "\n"
                    if name == "jsonl"
                    else FORMATS[name](transcript_of(content))
                    for content in contents
                ]
                path = self.folder / f"transcripts.{name}"
                text = "".join(lines)
                replace = self._overwrite or own_folder or _continued(path, text)
                self._write(path, text, replace=replace, durable=True)

    def _write(self, path: Path, text: str, *, replace: bool, durable: bool) -> None:
        if replace:
            write_whole(path, text, durable=durable)
        elif path.read_text(encoding="utf-8", errors="replace") != text:
            self.spared.append(path)


def _continued(path: Path, text: str) -> bool:
    """Whether ``path`` is absent, or all of its lines are in ``text``."""
    if not path.exists():
        return True
    known = set(text.splitlines())
    return known.issuperset(path.read_text(encoding="utf-8", errors="replace").splitlines())
