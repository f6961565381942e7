"""The desk: utterances in the order in which they are looked at, and what is changed of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from deepspeech2.errors import ManifestError
from deepspeech2.extras.labelling.export import checked
from deepspeech2.extras.labelling.journal import Journal
from deepspeech2.extras.labelling.labels import Change, Label, Labels, State
from deepspeech2.extras.labelling.recordings import Item
from deepspeech2.text import Tokenizer

MODEL = "model"
"""Who is sure of what nobody has looked at."""

STEP = 0.01
"""Seconds of a level from which pauses are found."""

_SHORTEST_PAUSE = 0.08  # seconds
_QUIET = 0.35  # of the way from the background's level to that of speech


class Part(BaseModel):
    """What a page says of an utterance: the fields of a label that are somebody's to choose."""

    model_config = ConfigDict(extra="forbid")

    utterance: str
    start: float | None = None
    end: float | None = None
    text: str = ""
    state: State
    base: str | None = None


class Asked(Part):
    """A change as a page sends it."""

    revision: str
    who: str
    settles: list[str] = []
    also: list[Part] = []


class Desk:
    """The items of a folder, and its journal.

    Args:
        items: in the order in which they are to be looked at.
        text_encoder: with whose alphabet texts are to be written.
    """

    def __init__(self, items: Sequence[Item], journal: Journal, text_encoder: Tokenizer) -> None:
        self.items = {item.name: item for item in items}
        self.files = {item.audio: item.utterance.audio for item in items}
        self.journal = journal
        self.text_encoder = text_encoder
        # as comparing texts takes longer than all else
        self._doubts = {item.name: (item.doubt, item.difference) for item in items}

    def accept_sure(self, confidence: float, difference: float) -> int:
        """Mark what nobody has changed as sure, or as open again; returns how many are sure.

        Args:
            confidence: that the model must have at least.
            difference: that the decoders' texts, and a given one, may have at most.
        """
        labels = self.journal.read()
        changes: list[Change] = []
        n_sure = 0
        for item in self.items.values():
            change, label = labels.current.get(item.name, (None, None))
            if change is not None and change.who != MODEL:
                continue
            heard = item.heard
            sure = heard.confidence >= confidence and self._doubts[item.name][1] <= difference
            sure = sure and heard.error is None and not self._fault(item.text)
            n_sure += sure
            state: State = "sure" if sure else "open"
            before = ("open", item.text) if label is None else (label.state, label.text)
            if before != (state, item.text):
                base = None if change is None else change.revision
                part = Part(utterance=item.name, text=item.text, state=state, base=base)
                sure_of = self._label(part, heard.confidence).model_dump()
                changes.append(Change(**sure_of, who=MODEL))
        if changes:
            self.journal.add(*changes)
        return n_sure

    def add(self, asked: Asked) -> tuple[bool, Labels]:
        """Write a change; returns whether it is in effect, and the labels.

        Raises:
            ManifestError: its text cannot be trained on, or its utterance is unknown.
            ValueError: a value is out of range.
        """
        known = set(type(asked).model_fields) - set(Part.model_fields) - {"also"}
        labels = [self._label(part) for part in (asked, *asked.also)]
        change = Change.model_validate(
            labels[0].model_dump() | asked.model_dump(include=known) | {"also": labels[1:]}
        )
        found = self.journal.add(change)
        return change.revision in found.changes, found

    def undo(self, who: str, undoes: str | None, revision: str) -> tuple[str | None, Labels]:
        """Take back a change, or the last of ``who``; returns its utterance, None: there is none.

        Args:
            revision: of the undoing; the same again is a repetition.
        """
        labels = self.journal.read()
        if revision in labels.changes:
            return labels.changes[revision].utterance, labels
        change = labels.last(who) if undoes is None else labels.changes.get(undoes)
        if change is None:
            return None, labels
        return change.utterance, self.journal.add(labels.undoing(change, who, revision))

    def _label(self, part: Part, confidence: float | None = None) -> Label:
        """Check what is said of an utterance, and add what is known of it."""
        item = self.item(part.utterance)
        known = part.state in ("corrected", "sure")
        text = (checked if known else _normal)(part.text, self.text_encoder)
        written = None if part.text.strip() == text else part.text.strip()
        start, end = self._times(item)
        return Label(
            utterance=part.utterance,
            audio=item.audio,
            start=start if part.start is None else round(part.start, 3),
            end=end if part.end is None else round(part.end, 3),
            text=text,
            written=written,
            speaker=item.utterance.speaker,
            state=part.state,
            confidence=confidence,
            base=part.base,
        )

    def _times(self, item: Item) -> tuple[float, float]:
        start = item.utterance.offset
        return round(start, 3), round(start + max(item.utterance.duration, 0.001), 3)

    def _fault(self, text: str) -> str:
        try:
            checked(text, self.text_encoder)
        except ManifestError as error:
            return str(error)
        return ""

    def item(self, name: str) -> Item:
        """The item of an utterance, or that of which it was split off.

        Raises:
            ManifestError: there is none.
        """
        parent = self._parent(name)
        if parent is None:
            raise ManifestError(f"{name!r} is no utterance of this folder")
        return self.items[parent]

    def _parent(self, name: str) -> str | None:
        """The item that ``name`` is, or was split off."""
        while name and name not in self.items:
            name = name.rpartition("#")[0]
        return name or None

    def rows(self, labels: Labels) -> list[dict[str, Any]]:
        """All utterances as a page shows them; parts follow that of which they were split off."""
        parts: dict[str, list[str]] = {}
        for name in labels.current:
            parent = self._parent(name)
            if parent not in (None, name):
                parts.setdefault(str(parent), []).append(name)
        rows = []
        for name in self.items:
            together = [self.row(each, labels) for each in (name, *parts.get(name, ()))]
            rows += sorted(together, key=lambda row: row["start"]) if name in parts else together
        return [row for row in rows if row["state"] != "joined"]

    def row(self, name: str, labels: Labels) -> dict[str, Any]:
        """An utterance as a page shows it."""
        item = self.item(name)
        change, label = labels.current.get(name, (None, None))
        start, end = self._times(item)
        text, source = item.text, MODEL if item.given is None else "given"
        if label is not None and label.text is not None:
            text = label.written or label.text
            source = change.who if change is not None else source
        conflicts = [
            {"revision": each.revision, "who": each.who, "when": each.when}
            | each_label.model_dump(include={"text", "start", "end", "state"})
            for each in labels.conflicts.get(name, ())
            for each_label in each.labels
            if each_label.utterance == name
        ]
        return {
            "utterance": name,
            "audio": item.audio,
            "start": start if label is None or label.start is None else label.start,
            "end": end if label is None or label.end is None else label.end,
            "text": text,
            "source": source,
            "state": "open" if label is None else label.state,
            "revision": None if change is None else change.revision,
            "doubt": round(self._doubts[item.name][0], 3),
            "confidence": round(item.heard.confidence, 3),
            "difference": round(self._doubts[item.name][1], 3),
            "error": item.heard.error,
            "conflicts": conflicts,
        }


def _normal(text: str, text_encoder: Tokenizer) -> str:
    return text_encoder.normalize(text)


def pauses(levels: npt.NDArray[np.float64], step: float = STEP) -> list[tuple[float, float]]:
    """Find the pauses in levels (N,) in dB, one every ``step`` seconds; returns their seconds."""
    if not len(levels):
        return []
    background, speech = np.percentile(levels, (5.0, 90.0))
    quiet = levels < background + _QUIET * (speech - background)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], quiet.view(np.int8), [0])))).reshape(-1, 2)
    least = round(_SHORTEST_PAUSE / step)
    return [(int(a) * step, int(b) * step) for a, b in edges if b - a >= least]
