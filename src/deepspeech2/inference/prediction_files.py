"""What a prediction file holds, read back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from deepspeech2.decoding import Word
from deepspeech2.errors import ConfigError
from deepspeech2.evaluation import ErrorBudget, Evaluation
from deepspeech2.files import safe_name
from deepspeech2.transcripts import Transcript


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
            evaluation.account(_budgets(content))
        for phrase in content.get("hotwords", ()):
            evaluation.hot[decoder][phrase] += 1


def budget_notes(budgets: Mapping[str, ErrorBudget]) -> dict[str, dict[str, int]]:
    """What a file says of the causes of errors: for each decoder's name those that there are."""
    return {
        name: {cause: n for cause, n in asdict(budget).items() if n and cause != "words"}
        for name, budget in budgets.items()
    }


def _budgets(content: Mapping[str, Any]) -> dict[str, ErrorBudget]:
    """The same read back; nothing where the file does not say, or says something else."""
    words = len(content["text"].split())
    try:
        return {
            name: ErrorBudget(words=words, **{cause: int(n) for cause, n in causes.items()})
            for name, causes in content["causes"].items()
        }
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
        return {}


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
        channel=content.get("channel"),
        error=content.get("error"),
    )


def read_prediction(path: Path) -> dict[str, Any] | None:
    """A prediction; None where there is none that can be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and "pred_text" in content else None


def prediction_file(name: str, suffix: str = "json") -> str:
    """The file name for the utterance ``name``, which stays in its folder whatever the name is."""
    return f"{safe_name(name)}.{suffix}"


INDEX = ".predictions"


class PredictionIndex:
    """Names the predictions that were written into a folder: no other file is deleted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / INDEX
        self._noted: set[str] = set()

    def note(self, name: str) -> None:
        """Add a file name, if it is new, before the file is written."""
        if name in self._names():
            return
        self._noted.add(name)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{name}\n")

    def discard(self, *, own: bool) -> None:
        """Delete the folder's predictions, or two models' would lie together after a broken run.

        Args:
            own: whether the folder is one of this program's, which has not always had an index.

        Raises:
            ConfigError: there are JSON files of another origin.
        """
        names = set(self._names())
        others = []
        for path in sorted(self.folder.glob("*.json")):
            content = read_prediction(path) if own else None
            if content is not None and path.name == prediction_file(str(content.get("id"))):
                names.add(path.name)
            elif path.name not in names:
                others.append(path)
        if others:
            raise ConfigError(
                f"{others[0]} is no prediction of this program, and so nothing was deleted: choose"
                " another inferencer.save_path, or move all of it aside with"
                " inferencer.override=true"
            )
        for name in names:
            (self.folder / name).unlink(missing_ok=True)
        self._path.unlink(missing_ok=True)
        self._noted.clear()

    def _names(self) -> set[str]:
        if not self._noted and self._path.is_file():
            lines = self._path.read_text(encoding="utf-8", errors="replace").splitlines()
            self._noted = {line for line in lines if line == prediction_file(line[: -len(".json")])}
        return self._noted
