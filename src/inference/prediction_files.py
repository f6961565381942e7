"""What a prediction file holds, read back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from src.decoding import Word
from src.evaluation import Evaluation
from src.transcripts import Transcript


def recall(evaluation: Evaluation, contents: Iterable[Mapping[str, Any]], decoder: str) -> None:
    """Count what an earlier run has heard, as far as its files tell.

    Args:
        decoder: the name of the one that ``pred_text`` comes from.
    """
    for content in contents:
        nbest = [each["pred_text"] for each in content.get("nbest", ())]
        heard = {name: [text] for name, text in content.get("others", {}).items()}
        heard[decoder] = nbest or [content["pred_text"]]
        if content["text"] is not None:
            known = {name: texts for name, texts in heard.items() if name in evaluation.scores}
            evaluation.score(content["text"], known)
        for phrase in content.get("hotwords", ()):
            evaluation.hot[decoder][phrase] += 1


def transcript_of(content: Mapping[str, Any]) -> Transcript:
    """A transcript from what its JSON file holds."""
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
    )


def read_prediction(path: Path) -> dict[str, Any] | None:
    """A prediction; None where there is none that can be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and "pred_text" in content else None
