"""Predictions on disk: one JSON file for each utterance."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from src.decoding import fired, utterance_confidence, words
from src.errors import ConfigError
from src.evaluation import Recognized
from src.inference.recognizer import Recognizer
from src.paths import move_aside
from src.types import Hypothesis, Utterance


class PredictionFolder:
    """Writes ``<folder>/<utterance id>.json``, each file whole or not at all.

    Args:
        folder: made if missing.
        recognizer: what makes the predictions; ``pred_text`` is what its decoder heard.
        override: move earlier predictions aside instead of refusing.

    Attributes:
        unreferenced: id and ``pred_text`` of what was written without a reference.

    Raises:
        ConfigError: the folder holds predictions and ``override`` is not asked for.
    """

    def __init__(
        self,
        folder: Path,
        recognizer: Recognizer,
        *,
        override: bool = False,
    ) -> None:
        if folder.exists() and any(folder.iterdir()):
            if not override:
                raise ConfigError(
                    f"{folder} holds predictions already: choose another inferencer.save_path,"
                    " or move them aside with inferencer.override=true"
                )
            move_aside(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.unreferenced: list[tuple[str, str]] = []
        self._recognizer = recognizer

    def write(self, result: Recognized) -> None:
        """Write what was heard."""
        recognizer = self._recognizer
        nbest = result.hypotheses[recognizer.decoder.name]
        best = nbest[0]
        content = {
            "pred_text": best.text,
            "text": result.reference,
            **_origin(result.utterance),
            "decoder": recognizer.decoder.name,
            **self._details(best, result.utterance.offset),
        }
        if recognizer.decoder.hotwords:
            content["hotwords"] = list(fired(best.text, recognizer.decoder.hotwords))
        if len(nbest) > 1:
            content["nbest"] = [
                {
                    "pred_text": each.text,
                    "score": round(each.score, 4),
                    **self._details(each, result.utterance.offset),
                }
                for each in nbest
            ]
        self._write(result.utterance.id, content)
        if result.reference is None:
            self.unreferenced.append((result.utterance.id, best.text))

    def _details(self, hypothesis: Hypothesis, offset: float) -> dict[str, Any]:
        recognizer = self._recognizer
        timed = words(
            hypothesis, recognizer.seconds_per_frame, text_encoder=recognizer.text_encoder
        )
        return {
            "confidence": round(utterance_confidence(hypothesis), 4),
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

    def write_error(self, utterance: Utterance, reason: str) -> None:
        """Write that an utterance could not be read, and why."""
        normalize = self._recognizer.text_encoder.normalize
        reference = None if utterance.text is None else normalize(utterance.text)
        self._write(
            utterance.id,
            {"pred_text": "", "text": reference, **_origin(utterance), "error": reason},
        )

    def _write(self, name: str, content: dict[str, Any]) -> None:
        path = self.folder / f"{name}.json"
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
        os.replace(temporary, path)


def _origin(utterance: Utterance) -> dict[str, Any]:
    return {
        "id": utterance.id,
        "audio_path": str(utterance.audio),
        "duration": round(utterance.duration, 3),
        "speaker": utterance.speaker,
    }
