"""Labels of utterances, changes of them, and what is in effect after many changes."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from annotated_types import Ge
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

State = Literal["corrected", "sure", "unusable", "open", "joined"]
"""``open``: to be looked at, as after an undo. ``joined``: part of its neighbour now."""

_Seconds = Annotated[FiniteFloat, Ge(0)]


class Label(BaseModel):
    """What is said in a stretch of a recording.

    Attributes:
        utterance: its name in the journal, which stays when its times change.
        audio: path of the recording, relative to the journal's folder, with ``/``.
        start, end: seconds; None: the whole recording.
        text: normalised; None: what the corpus or the model has.
        written: as it was typed, where that differs.
        confidence: of a model, from 0 to 1.
        base: the revision of the utterance that was changed; None: it had none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    utterance: Annotated[str, Field(min_length=1)]
    audio: Annotated[str, Field(min_length=1)]
    start: _Seconds | None = None
    end: _Seconds | None = None
    text: str | None = None
    written: str | None = None
    speaker: str | None = None
    state: State
    confidence: Annotated[FiniteFloat, Field(ge=0, le=1)] | None = None
    base: str | None = None

    def label(self) -> Label:
        """The same without what a change adds."""
        return Label.model_construct(**{name: getattr(self, name) for name in Label.model_fields})

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.start is None) != (self.end is None):
            raise ValueError("start and end must be given together")
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise ValueError(f"end must be after start, but is {self.end:g} with {self.start:g}")
        if self.state in ("corrected", "sure") and not self.text:
            raise ValueError(f"a {self.state} utterance must have a text")
        return self


class Change(Label):
    """A line of the journal.

    Attributes:
        revision: of the utterances from this line on; a line with the same is a repetition.
        who: made it.
        when: in UTC, ISO 8601.
        undoes: the revision that it takes back.
        settles: revisions of conflicts that it decides.
        also: other utterances that change with it, as when one is split.
    """

    revision: Annotated[str, Field(min_length=1)] = Field(default_factory=lambda: uuid.uuid4().hex)
    who: str
    when: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="milliseconds"))
    undoes: str | None = None
    settles: tuple[str, ...] = ()
    also: tuple[Label, ...] = ()

    @property
    def labels(self) -> tuple[Label, ...]:
        """Of all the utterances that it changes."""
        return (self, *self.also)

    def line(self) -> bytes:
        """As it is written: JSON, with a line feed before it."""
        empty = {name for name in ("settles", "also") if not getattr(self, name)}
        content = self.model_dump(exclude_none=True, exclude=empty)
        return b"\n" + json.dumps(content, ensure_ascii=False).encode()


@dataclass(slots=True)
class Labels:
    """What a journal's lines amount to.

    Attributes:
        changes: those in effect, by revision, in their order.
        current: by utterance, the change that is in effect and the utterance's label in it.
        conflicts: by utterance, changes of an old revision that nobody has decided on yet.
        n_damaged: lines that cannot be read, as those of killed writers.
    """

    changes: dict[str, Change] = field(default_factory=dict)
    current: dict[str, tuple[Change, Label]] = field(default_factory=dict)
    conflicts: dict[str, list[Change]] = field(default_factory=dict)
    n_damaged: int = 0
    _seen: set[str] = field(default_factory=set)
    _undone: set[str] = field(default_factory=set)

    def add(self, change: Change) -> None:
        """Take the next line of the journal."""
        if change.revision in self._seen:
            return
        self._seen.add(change.revision)
        if any(label.base != self.revision(label.utterance) for label in change.labels):
            for label in change.labels:
                self.conflicts.setdefault(label.utterance, []).append(change)
            return
        self.changes[change.revision] = change
        if change.undoes is not None:
            self._undone.add(change.undoes)
        for label in change.labels:
            self.current[label.utterance] = change, label
            conflicts = self.conflicts.pop(label.utterance, [])
            if left := [each for each in conflicts if each.revision not in change.settles]:
                self.conflicts[label.utterance] = left

    def revision(self, utterance: str) -> str | None:
        """The newest revision of an utterance; None: nothing was changed."""
        found = self.current.get(utterance)
        return None if found is None else found[0].revision

    def last(self, who: str) -> Change | None:
        """What somebody changed last and has not taken back."""
        for change in reversed(self.changes.values()):
            if change.who == who and change.undoes is None and change.revision not in self._undone:
                return change
        return None

    def undoing(self, change: Change, who: str, revision: str | None = None) -> Change:
        """The change that takes back ``change``, which is in effect."""
        before = [
            self._before(label, label is not change).model_copy(
                update={"base": self._newest(label.utterance, change.revision)}
            )
            for label in change.labels
        ]
        first, *also = before
        values = {**first.model_dump(), "also": also, "who": who, "undoes": change.revision}
        given = {} if revision is None else {"revision": revision}
        return Change.model_validate(values | given)

    def _newest(self, utterance: str, revision: str) -> str:
        """The newest revision if it is ``revision`` or brought that back, else ``revision``."""
        newest = at = self.revision(utterance)
        while at is not None and at != revision and self.changes[at].undoes is not None:
            undone = self.changes[str(self.changes[at].undoes)]
            at = next((each.base for each in undone.labels if each.utterance == utterance), None)
        return newest if newest is not None and at == revision else revision

    def _before(self, label: Label, beside: bool) -> Label:
        """What the label of a change replaced; ``beside``: it is not the change's first."""
        earlier = None if label.base is None else self.changes[label.base]
        for each in () if earlier is None else earlier.labels:
            if each.utterance == label.utterance:
                return each.label()
        made = beside and label.state != "joined"  # a part that was split off
        return Label(
            utterance=label.utterance,
            audio=label.audio,
            speaker=label.speaker,
            state="joined" if made else "open",
        )
