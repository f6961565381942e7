"""Predictions on disk: a JSON file for each utterance, and other formats made from it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from deepspeech2.console import announce
from deepspeech2.decoding import fired
from deepspeech2.errors import ConfigError, named_by
from deepspeech2.evaluation import Recognized
from deepspeech2.files import lock, sweep, write_whole
from deepspeech2.inference.calibration import surety
from deepspeech2.inference.prediction_files import (
    PredictionIndex,
    budget_notes,
    prediction_file,
    read_prediction,
    transcript_of,
)
from deepspeech2.inference.recognizer import Recognizer
from deepspeech2.inference.rejection import Gate
from deepspeech2.metrics.predictions import MADE_WITH
from deepspeech2.paths import move_aside
from deepspeech2.transcripts import FORMATS
from deepspeech2.types import Hypothesis, Utterance

log = logging.getLogger(__name__)

WHOLE = ("jsonl", "ctm")
"""Formats of which one file holds all recordings."""
_PART = ("duration", "offset", "channel", "max_segment")
"""What of a recording was heard, and in which pieces."""
_OPTIONS = "inferencer.save_path and inferencer.output name the folders"
_REMEDY = (
    "choose another inferencer.save_path, replace what is there with inferencer.overwrite=true, or"
    " move it aside with inferencer.override=true"
)


class PredictionFolder:
    """Writes ``<folder>/<utterance id>.json``, each file whole or not at all.

    Predictions that the same checkpoint and decoder made earlier are kept, so that a run which
    was interrupted goes on where it stopped.

    Args:
        folder: made if missing.
        recognizer: what makes the predictions; ``pred_text`` is what its decoder heard.
        formats: more files for each utterance, keys of ``FORMATS``, or one for all of ``WHOLE``.
        output: the folder for these; None: ``folder``.
        overwrite: make and write again what is there.
        override: move earlier predictions aside; ``changed``: those of another checkpoint, decoder
            or recording.
        reject_below: predictions of less confidence are marked as rejected; None marks none.
        max_segment: seconds of the pieces in which what is longer is heard; None: never in pieces.

    Attributes:
        gate: what counts the rejected ones.
        unreferenced: id and ``pred_text`` of what was heard without a reference.
        surety: of each utterance that was heard, how sure its words are.
        spared: files of other formats that were there with another content, and were kept.

    Raises:
        ConfigError: another process writes into the folder; or it holds predictions of another
            checkpoint, decoder or recording, and neither ``overwrite`` nor ``override`` is asked
            for; or JSON files that are no predictions of this program.
        OSError: the folder cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        recognizer: Recognizer,
        *,
        formats: Sequence[str] = (),
        output: Path | None = None,
        overwrite: bool = False,
        override: bool | Literal["changed"] = False,
        reject_below: float | None = None,
        max_segment: float | None = None,
    ) -> None:
        self.folder = folder
        self.output = output or folder
        self.unreferenced: list[tuple[str, str]] = []
        self.spared: list[Path] = []
        self.surety: list[float] = []
        self._recognizer = recognizer
        self._formats = [name for name in formats if name != "json"]
        self._overwrite = overwrite
        self._sets_aside = override == "changed" and not overwrite
        self._max_segment = max_segment
        self._written: set[str] = set()
        self._index = PredictionIndex(folder)
        self.gate = Gate(reject_below)
        with named_by(_OPTIONS):
            self._lock = lock(
                folder.with_name(f".{folder.name}.lock"),
                f"another process writes predictions into {folder}: wait until it ends, or choose"
                " another inferencer.save_path",
            )
        if override is True:
            move_aside(folder)
        self._claim()

    @named_by(_OPTIONS)
    def _claim(self) -> None:
        """Hold the folder against what is about to write into it."""
        for folder in (self.folder, self.output):
            folder.mkdir(parents=True, exist_ok=True)
            sweep(folder)
        mark = self.folder / MADE_WITH
        wanted = self._recognizer.fingerprint
        used = any(self.folder.iterdir())
        same = mark.is_file() and _agree(json.loads(mark.read_text(encoding="utf-8")), wanted)
        if used and not same and self._sets_aside and mark.is_file():
            self._set_aside()
            return
        if used and not same:
            if not self._overwrite:
                raise ConfigError(
                    f"{self.folder} holds predictions already, of another model or decoder:"
                    f" {_REMEDY}"
                )
            self._index.discard(own=mark.is_file())
        write_whole(mark, json.dumps(wanted, ensure_ascii=False))

    def _set_aside(self) -> None:
        """Keep what is there under another name, and begin anew."""
        announce(log, "%s was kept as %s", self.folder, move_aside(self.folder))
        self._claim()

    def finished(self, utterances: Sequence[Utterance]) -> dict[str, dict[str, Any]]:
        """What an earlier run has heard of ``utterances``, by id; errors are tried again.

        Raises:
            ConfigError: a prediction is that of another recording of the same name.
        """
        if self._overwrite:
            return {}
        if self._sets_aside and any(map(self._is_anothers, utterances)):
            self._set_aside()
        found = {}
        for utterance in utterances:
            path = self.folder / prediction_file(utterance.id)
            content = read_prediction(path)
            if content is None or "error" in content:
                continue
            if self._is_anothers(utterance):
                raise ConfigError(
                    f"{path} holds what was heard in {content.get('audio_path')}, not in"
                    f" {utterance.audio}: {_REMEDY}"
                )
            wanted = self._origin(utterance)
            if all(content.get(key) == wanted.get(key) for key in _PART):
                found[utterance.id] = content
                self._judge_again(content, utterance)
                self._deliver(content, keep=True)
        return found

    def _is_anothers(self, utterance: Utterance) -> bool:
        """Whether the file of this name holds what was heard in another recording."""
        content = read_prediction(self.folder / prediction_file(utterance.id))
        if content is None or "error" in content:
            return False
        return Path(content.get("audio_path", "")).resolve() != utterance.audio.resolve()

    def _judge_again(self, content: dict[str, Any], utterance: Utterance) -> None:
        """Whether an earlier prediction is rejected now, by today's reference; its file says so."""
        before = dict(content)
        content.pop("rejected", None)
        content["text"] = self._reference(utterance)
        if content["text"] != before["text"]:
            content.pop("causes", None)
        content |= self.gate.judge(content["pred_text"], content["text"], content["confidence"])
        if content != before:
            self._write_json(content)

    def _reference(self, utterance: Utterance) -> str | None:
        normalize = self._recognizer.text_encoder.normalize
        return None if utterance.text is None else normalize(utterance.text)

    def _origin(self, utterance: Utterance) -> dict[str, Any]:
        """What was heard, and in which pieces if it was cut."""
        told = {
            "id": utterance.id,
            "audio_path": str(utterance.audio),
            "duration": round(utterance.duration, 3),
            "speaker": utterance.speaker,
        }
        if utterance.channel is not None:
            told["channel"] = utterance.channel
        if utterance.offset:
            told["offset"] = round(utterance.offset, 3)
        if self._max_segment is not None and utterance.duration > self._max_segment:
            told["max_segment"] = self._max_segment
        return told

    def write(self, result: Recognized, error: str | None = None) -> None:
        """Write what was heard.

        Args:
            error: why a part of it could not be.
        """
        recognizer = self._recognizer
        nbest = result.hypotheses[recognizer.decoder.name]
        best = nbest[0]
        offset = result.utterance.offset
        content = {
            "pred_text": best.text,
            "text": result.reference,
            **self._origin(result.utterance),
            "decoder": recognizer.decoder.name,
            **self._details(best, offset),
        }
        content |= self.gate.judge(best.text, result.reference, content["confidence"])
        if recognizer.decoder.hotwords:
            hotwords = recognizer.decoder.hotwords
            content["hotwords"] = list(fired(best.text, hotwords, recognizer.text_encoder))
        if len(nbest) > 1:
            content["nbest"] = [
                {
                    "pred_text": each.text,
                    "score": round(each.score, 4),
                    **self._details(each, offset),
                }
                for each in nbest
            ]
        others = {
            name: hypotheses[0].text
            for name, hypotheses in result.hypotheses.items()
            if name != recognizer.decoder.name
        }
        if others:
            content["others"] = others
        if result.budgets:
            content["causes"] = budget_notes(result.budgets)
        if error is not None:
            content["error"] = error
        self._write_json(content)
        self._deliver(content, keep=not self._overwrite)

    def _details(self, hypothesis: Hypothesis, offset: float) -> dict[str, Any]:
        recognizer = self._recognizer
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

    def write_error(self, utterance: Utterance, reason: str) -> None:
        """Write that an utterance could not be read, and why."""
        reference = self._reference(utterance)
        self._write_json(
            {"pred_text": "", "text": reference, **self._origin(utterance), "error": reason}
        )
        self._written.add(utterance.id)

    def finish(self) -> None:
        """Write the formats of which one file holds all recordings; others may write here then."""
        self._write_lists([name for name in self._formats if name in WHOLE])
        self._lock.release()

    @named_by(_OPTIONS)
    def _write_lists(self, chosen: Sequence[str]) -> None:
        contents = [
            read_prediction(self.folder / prediction_file(name)) or {}
            for name in sorted(self._written)
        ]
        for name in chosen:
            lines = (
                [json.dumps(content, ensure_ascii=False) + "\n" for content in contents]
                if name == "jsonl"
                else [FORMATS[name](transcript_of(content)) for content in contents]
            )
            path = self.output / f"transcripts.{name}"
            if self._overwrite or self.output == self.folder or _continued(path, lines):
                write_whole(path, "".join(lines))
            elif path.read_text(encoding="utf-8", errors="replace") != "".join(lines):
                self.spared.append(path)

    @named_by(_OPTIONS)
    def _write_json(self, content: Mapping[str, Any]) -> None:
        path = self.folder / prediction_file(content["id"])
        self._index.note(path.name)
        write_whole(path, json.dumps(content, ensure_ascii=False, indent=1), durable=False)

    @named_by(_OPTIONS)
    def _deliver(self, content: Mapping[str, Any], *, keep: bool) -> None:
        """Note what was heard, and write it in the other formats."""
        self._written.add(content["id"])
        sure = surety([word["confidence"] for word in content["words"]])
        if sure is not None:
            self.surety.append(sure)
        if content["text"] is None:
            self.unreferenced.append((content["id"], content["pred_text"]))
        for name in self._formats:
            if name in WHOLE:
                continue
            path = self.output / prediction_file(content["id"], name)
            text = FORMATS[name](transcript_of(content))
            if not (keep and path.exists()):
                write_whole(path, text, durable=False)
            elif path.read_text(encoding="utf-8", errors="replace") != text:
                self.spared.append(path)


def _agree(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether two fingerprints tell of the same; older ones tell less."""
    return all(before.get(key, value) == value for key, value in now.items())


def _continued(path: Path, lines: Sequence[str]) -> bool:
    """Whether ``path`` is absent, or holds nothing but some of what is to be written."""
    if not path.exists():
        return True
    known = set("".join(lines).splitlines())
    return known.issuperset(path.read_text(encoding="utf-8", errors="replace").splitlines())
