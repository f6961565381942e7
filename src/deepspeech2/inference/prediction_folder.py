"""Folders of predictions: a JSON file for each utterance, continued by the next run."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deepspeech2.console import announce
from deepspeech2.errors import ConfigError, named_by
from deepspeech2.evaluation import Recognized
from deepspeech2.files import lock, sweep, write_whole
from deepspeech2.inference.calibration import surety
from deepspeech2.inference.prediction_files import (
    OtherFormats,
    prediction,
    prediction_file,
    read_prediction,
    recording_fields,
)
from deepspeech2.inference.recognizer import Recognizer
from deepspeech2.inference.summary import Rejections
from deepspeech2.metrics.predictions import MADE_WITH
from deepspeech2.paths import move_aside
from deepspeech2.settings import InferencerSettings
from deepspeech2.types import Utterance

log = logging.getLogger(__name__)

INDEX = ".predictions"
_PART = ("duration", "offset", "channel", "max_segment")
"""Keys that say which part of a recording was recognised, and in which pieces."""
_OPTIONS = "inferencer.save_path and inferencer.output name the folders"
_REMEDY = (
    "choose another inferencer.save_path, replace what is there with inferencer.overwrite=true, or"
    " move it aside with inferencer.override=true"
)


class PredictionFolder:
    """Write ``<folder>/<utterance id>.json``, each file whole or not at all.

    Earlier predictions of the same checkpoint and decoder are kept, so that a run that was
    interrupted continues.

    Args:
        folder: made if missing.
        recognizer: makes the predictions; its decoder makes ``pred_text``.
        settings: which formats are written, and what happens to earlier predictions.
        output: the folder for formats besides JSON; None: ``folder``.

    Attributes:
        rejections: counts the rejected ones.
        unreferenced: id and ``pred_text`` of what has no reference.
        surety: of each utterance with words, see :func:`deepspeech2.inference.calibration.surety`.
        spared: files of other formats that existed with another content, and were kept.
        n_earlier: predictions that an earlier run has made.

    Raises:
        ConfigError: another process writes into the folder; or it contains predictions of another
            checkpoint, decoder or recording, and neither ``overwrite`` nor ``override`` is asked
            for; or JSON files that are no predictions of this program.
        OSError: the folder cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        recognizer: Recognizer,
        settings: InferencerSettings,
        output: Path | None = None,
    ) -> None:
        self.folder = folder
        self.output = output or folder
        self.unreferenced: list[tuple[str, str]] = []
        self.surety: list[float] = []
        self.n_earlier = 0
        self.rejections = Rejections(settings.reject_below)
        self._recognizer = recognizer
        self._settings = settings
        self._sets_aside = settings.override == "changed" and not settings.overwrite
        self._written: set[str] = set()
        self._index = _Index(folder)
        self._others = OtherFormats(self.output, settings.formats, overwrite=settings.overwrite)
        self.spared = self._others.spared
        with named_by(_OPTIONS):
            self._lock = lock(
                folder.with_name(f".{folder.name}.lock"),
                f"another process writes predictions into {folder}: wait until it ends, or choose"
                " another inferencer.save_path",
            )
        if settings.override is True:
            move_aside(folder)
        self._claim()

    @named_by(_OPTIONS)
    def _claim(self) -> None:
        """Make the folder this run's, unless it contains what must not be mixed or deleted."""
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
            if not self._settings.overwrite:
                raise ConfigError(
                    f"{self.folder} contains predictions already, of another model or decoder:"
                    f" {_REMEDY}"
                )
            self._index.discard(own=mark.is_file())
        write_whole(mark, json.dumps(wanted, ensure_ascii=False))

    def _set_aside(self) -> None:
        """Move the folder aside and begin anew."""
        announce(log, "%s was kept as %s", self.folder, move_aside(self.folder))
        self._claim()

    @named_by(_OPTIONS)
    def finished(self, utterances: Sequence[Utterance]) -> dict[str, dict[str, Any]]:
        """Return the predictions of an earlier run by id, without errors, which are tried again.

        Raises:
            ConfigError: a prediction is that of another recording of the same name.
        """
        if self._settings.overwrite:
            return {}
        earlier = {}
        for utterance in utterances:
            path = self.folder / prediction_file(utterance.id)
            content = read_prediction(path)
            if content is None or "error" in content:
                continue
            if Path(content.get("audio_path", "")).resolve() != utterance.audio.resolve():
                if self._sets_aside:
                    self._set_aside()
                    return {}
                raise ConfigError(
                    f"{path} contains what was heard in {content.get('audio_path')}, not in"
                    f" {utterance.audio}: {_REMEDY}"
                )
            wanted = recording_fields(utterance, self._settings.max_segment)
            if all(content.get(key) == wanted.get(key) for key in _PART):
                earlier[utterance.id] = content
        for utterance in utterances:
            if utterance.id in earlier:
                self._judge_again(earlier[utterance.id], utterance)
                self._deliver(earlier[utterance.id], keep=True)
        self.n_earlier = len(earlier)
        return earlier

    def _judge_again(self, content: dict[str, Any], utterance: Utterance) -> None:
        """Update an earlier prediction for the reference and the threshold of this run."""
        before = dict(content)
        content.pop("rejected", None)
        content["text"] = self._reference(utterance)
        if content["text"] != before["text"]:
            content.pop("causes", None)
        content |= self.rejections.judge(
            content["pred_text"], content["text"], content["confidence"]
        )
        if content != before:
            self._write_json(content)

    def _reference(self, utterance: Utterance) -> str | None:
        normalize = self._recognizer.text_encoder.normalize
        return None if utterance.text is None else normalize(utterance.text)

    @named_by(_OPTIONS)
    def write(self, result: Recognized, error: str | None = None) -> None:
        """Write a prediction.

        Args:
            error: why a part of the recording could not be read.
        """
        content = prediction(result, self._recognizer, self.rejections, self._settings.max_segment)
        if error is not None:
            content["error"] = error
        self._write_json(content)
        self._deliver(content, keep=not self._settings.overwrite)

    @named_by(_OPTIONS)
    def write_error(self, utterance: Utterance, reason: str) -> None:
        """Write that a recording could not be read, and why."""
        described = recording_fields(utterance, self._settings.max_segment)
        reference = self._reference(utterance)
        self._write_json({"pred_text": "", "text": reference, **described, "error": reason})
        self._written.add(utterance.id)

    @named_by(_OPTIONS)
    def finish(self) -> None:
        """Write the formats of which one file contains all recordings; release the folder."""
        files = [self.folder / prediction_file(name) for name in sorted(self._written)]
        contents = [read_prediction(file) or {} for file in files]
        self._others.write_lists(contents, own_folder=self.output == self.folder)
        self._lock.release()

    def _write_json(self, content: Mapping[str, Any]) -> None:
        path = self.folder / prediction_file(content["id"])
        self._index.note(path.name)
        write_whole(path, json.dumps(content, ensure_ascii=False, indent=1), durable=False)

    def _deliver(self, content: Mapping[str, Any], *, keep: bool) -> None:
        """Note a prediction for the summary, and write it in the other formats."""
        self._written.add(content["id"])
        sure = surety([word["confidence"] for word in content["words"]])
        if sure is not None:
            self.surety.append(sure)
        if content["text"] is None:
            self.unreferenced.append((content["id"], content["pred_text"]))
        self._others.write(content, keep=keep)


def _agree(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether two fingerprints agree in what both contain; older ones contain less."""
    return all(before.get(key, value) == value for key, value in now.items())


class _Index:
    """The names of the predictions that were written into a folder: nothing else is deleted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / INDEX
        self._names: set[str] = set()

    def note(self, name: str) -> None:
        """Add a file name, if it is new, before the file is written."""
        if name in self._read():
            return
        self._names.add(name)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{name}\n")

    def discard(self, *, own: bool) -> None:
        """Delete the folder's predictions, so that those of two models are never mixed.

        Args:
            own: whether the folder is one of this program's, which has not always had an index.

        Raises:
            ConfigError: there are JSON files of another origin.
        """
        names = set(self._read())
        others = []
        for path in sorted(self._folder.glob("*.json")):
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
            (self._folder / name).unlink(missing_ok=True)
        self._path.unlink(missing_ok=True)
        self._names.clear()

    def _read(self) -> set[str]:
        if not self._names and self._path.is_file():
            lines = self._path.read_text(encoding="utf-8", errors="replace").splitlines()
            self._names = {line for line in lines if line == prediction_file(line[: -len(".json")])}
        return self._names
