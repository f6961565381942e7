"""The journal of labels: what was answered is never lost, by kills, torn lines or two at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from deepspeech2.datasets.manifest import ManifestCorpus
from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.extras.labelling.export import CORRECTED, SURE, checked, export, rows
from deepspeech2.extras.labelling.journal import JOURNAL, Journal
from deepspeech2.extras.labelling.labels import Change
from deepspeech2.text import TextEncoder
from tests.disks import as_nobody, full_disk

WRITER = """
import sys
from pathlib import Path
from deepspeech2.extras.labelling.journal import Journal
from deepspeech2.extras.labelling.labels import Change
journal, who = Journal(Path(sys.argv[1])), sys.argv[2]
base = None
for number in range(100_000):
    text = f"{who} says {number} " + "and more " * 500
    change = Change(utterance=who, audio="a.wav", text=text, state="corrected", base=base, who=who)
    journal.add(change)
    base = change.revision
    print(base, flush=True)
"""


def change(text: str = "one", **values: Any) -> Change:
    given = {"utterance": "a.wav", "audio": "a.wav", "state": "corrected", "who": "ann"}
    return Change(**{**given, "text": text, **values})


def test_killed_writers_lose_nothing_that_was_answered(tmp_path: Path) -> None:
    answers = [tmp_path / f"{number}.txt" for number in range(3)]
    writers = []
    for answer in answers:
        with answer.open("wb") as file:
            words = [sys.executable, "-c", WRITER, str(tmp_path), answer.stem]
            writers.append(subprocess.Popen(words, stdout=file))
    deadline = time.monotonic() + 60
    for answer, writer in zip(answers, writers, strict=True):
        while answer.stat().st_size < 33 * 20 and time.monotonic() < deadline:
            time.sleep(0.01)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    labels = Journal(tmp_path).read()
    for answer in answers:
        answered = [line for line in answer.read_text().splitlines() if len(line) == 32]
        assert len(answered) >= 20
        own = [each.revision for each in labels.changes.values() if each.who == answer.stem]
        assert own[: len(answered)] == answered
    assert not labels.conflicts


@pytest.mark.parametrize("size", [1, 30, -1])
def test_a_torn_line_is_passed_over_and_never_joined_to_the_next(tmp_path: Path, size: int) -> None:
    first, torn, last = change("one"), change("zw\u00f6lf"), change("three")
    journal = Journal(tmp_path)
    journal.add(first)
    with journal.path.open("ab") as file:
        file.write(torn.line()[:size])
    assert list(journal.read().changes) == [first.revision]
    last = last.model_copy(update={"base": first.revision})
    for labels in (journal.add(last), Journal(tmp_path).read()):
        assert list(labels.changes) == [first.revision, last.revision]
        assert labels.n_damaged == (size != 1)


def test_a_line_that_is_being_written_is_read_once_it_is_whole(tmp_path: Path) -> None:
    one, two = Journal(tmp_path), change("one").line()
    with one.path.open("ab", buffering=0) as file:
        file.write(two[:40])
        assert not one.read().changes
        file.write(two[40:])
        assert len(one.read().changes) == 1
    assert one.read().n_damaged == 0


def test_a_change_of_an_old_revision_is_kept_as_a_conflict(tmp_path: Path) -> None:
    ann, bob = Journal(tmp_path), Journal(tmp_path)
    first, second = change("one"), change("won", who="bob")
    assert first.revision in ann.add(first).changes
    labels = bob.add(second)
    assert second.revision not in labels.changes
    assert labels.current["a.wav"][1].text == "one"
    assert labels.conflicts == {"a.wav": [second]}
    # a later change leaves the conflict, until one settles it
    third = change("one two", base=first.revision)
    assert ann.add(third).conflicts == {"a.wav": [second]}
    decided = change("won", base=third.revision, settles=(second.revision,))
    labels = Journal(tmp_path).add(decided)
    assert not labels.conflicts
    assert labels.current["a.wav"][1].text == "won"


def test_a_repetition_changes_nothing(tmp_path: Path) -> None:
    first = change("one")
    labels = Journal(tmp_path).add(first, first)
    assert list(labels.changes) == [first.revision]
    assert not labels.conflicts


def test_undo_goes_back_step_by_step_and_is_a_further_line(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    first = change("one", start=0.0, end=1.5)
    second = change("two", start=0.5, end=1.5, base=first.revision)
    other = change("x", utterance="b.wav", audio="b.wav", who="bob")
    labels = journal.add(first, second, other)
    for expected in ("one", None):
        last = labels.last("ann")
        assert last is not None
        labels = journal.add(labels.undoing(last, "ann"))
        label = labels.current["a.wav"][1]
        assert label.text == expected
        assert label.state == ("open" if expected is None else "corrected")
    assert labels.last("ann") is None
    assert labels.current["b.wav"][1].text == "x"
    assert len(journal.path.read_bytes().splitlines()) == 1 + 5


def test_undoing_a_split_joins_the_parts(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    whole = change("one two", start=0.0, end=2.0)
    split = {"utterance": "a.wav#1", "audio": "a.wav", "start": 1, "end": 2, "text": "two"}
    parts = change("one", start=0.0, end=1.0, base=whole.revision, also=[split | {"state": "open"}])
    labels = journal.add(whole, parts)
    assert labels.current["a.wav#1"][1].text == "two"
    labels = journal.add(labels.undoing(parts, "ann"))
    assert labels.current["a.wav#1"][1].state == "joined"
    assert labels.current["a.wav"][1].end == 2.0


def test_undoing_what_somebody_else_has_changed_since_is_a_conflict(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    first = change("one")
    labels = journal.add(first, change("two", base=first.revision, who="bob"))
    labels = journal.add(labels.undoing(first, "ann"))
    assert labels.current["a.wav"][1].text == "two"
    assert len(labels.conflicts["a.wav"]) == 1


@pytest.mark.parametrize(
    "values",
    [
        {"state": "good"}, {"start": 1.0}, {"start": 2.0, "end": 1.0}, {"start": -1.0, "end": 1.0},
        {"start": 0.0, "end": float("inf")}, {"text": ""}, {"text": None}, {"confidence": 2.0},
        {"audio": ""}, {"more": 1}, {"audio": "\udcff"},
    ],
)  # fmt: skip
def test_wrong_values_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        change(**values)


@pytest.mark.parametrize("content", ['{"audio_filepath": "a.wav"}\n{"audio', "[1]", "1\n2\n"])
def test_a_file_of_another_program_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / JOURNAL).write_text(content)
    with pytest.raises(ManifestError, match="move the file away"):
        Journal(tmp_path).read()


def test_a_folder_that_cannot_be_written_is_named(public: Path) -> None:
    public.chmod(0o555)
    with as_nobody(), pytest.raises(OSError, match=f"Permission denied.*{JOURNAL}"):
        Journal(public).add(change())
    assert not list(public.iterdir())


def test_a_full_disk_is_named_and_what_is_there_stays(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    first = change("one")
    journal.add(first)
    size = journal.path.stat().st_size
    second = change("two", base=first.revision)
    for most in (size, size + 20):
        with full_disk(most), pytest.raises(OSError, match=JOURNAL):
            journal.add(second)
        assert list(Journal(tmp_path).read().changes) == [first.revision]
    assert list(journal.add(second).changes) == [first.revision, second.revision]
    assert list(Journal(tmp_path).read().changes) == [first.revision, second.revision]


def test_text_is_checked_as_training_does() -> None:
    encoder = TextEncoder()
    assert checked("Don\u2019t, STOP \u2014 now", encoder) == "don't stop now"
    with pytest.raises(ManifestError, match=r"'12' is not in the model's alphabet"):
        checked("21 stops", encoder)
    with pytest.raises(ManifestError, match="no word"):
        checked(" ... ", encoder)


def test_the_manifests_are_read_and_nothing_else_is_overwritten(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    (tmp_path / "in").mkdir()
    journal.add(
        change("two", utterance="b", audio="in/b.wav", start=1.5, end=4.0, speaker="s"),
        change("one", utterance="a", audio="in/b.wav", start=0.0, end=1.0, written="One."),
        change("three", utterance="c", audio="c.wav", state="sure", start=0, end=1, confidence=0.9),
        change("four", utterance="d", audio="d.wav", state="unusable"),
        change("five", utterance="e", audio="e.wav", state="open"),
    )
    for _ in range(2):
        assert export(tmp_path) == {CORRECTED: 2, SURE: 1}
    corpus = ManifestCorpus(tmp_path / CORRECTED)
    assert [(u.text, u.offset, u.duration, u.speaker) for u in corpus] == [
        ("one", 0.0, 1.0, None), ("two", 1.5, 2.5, "s"),
    ]  # fmt: skip
    assert corpus[0].audio == tmp_path / "in" / "b.wav"
    (sure,) = rows(journal.read(), "sure")
    assert json.loads((tmp_path / SURE).read_text()) == sure
    assert (sure["text"], sure["confidence"]) == ("three", 0.9)
    (tmp_path / SURE).write_text('{"text": "mine"}\n')
    with pytest.raises(ConfigError, match="kept"):
        export(tmp_path)
    assert "mine" in (tmp_path / SURE).read_text()


def test_the_line_is_on_the_disk_before_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda number: (synced.append(number), real(number)))
    journal = Journal(tmp_path)
    journal.add(change())
    assert len(synced) == 2  # the file, and its folder, in which it is new
    journal.add(change("x", utterance="b"), change("y", utterance="c"))
    assert len(synced) == 3
