"""What an earlier run has heard counts only where it is what this run would hear."""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import replace
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from deepspeech2.commands.infer import prediction_folders
from deepspeech2.datasets import Corpus, DirectoryCorpus
from deepspeech2.decoding import GreedyDecoder, Word
from deepspeech2.error_budget import ErrorBudget
from deepspeech2.errors import ConfigError, sentence
from deepspeech2.evaluation import Evaluation, Recognized
from deepspeech2.files import safe_name
from deepspeech2.inference import PredictionFolder
from deepspeech2.inference.calibration import RawConfidence
from deepspeech2.inference.prediction_files import recall
from deepspeech2.inference.prediction_folder import INDEX, MADE_WITH
from deepspeech2.settings import InferencerSettings
from deepspeech2.text import TextEncoder
from deepspeech2.types import Hypothesis, Utterance
from tests.disks import remains
from tests.test_files import NAMES

ENCODER = TextEncoder()


class Parrot:
    """Stands for a recogniser, of which the folder asks these things."""

    decoder = GreedyDecoder(ENCODER)
    text_encoder = ENCODER
    confidence = RawConfidence()

    def __init__(self, name: str, **more: Any) -> None:
        self.fingerprint = {"checkpoint": name, **more}

    def words(self, best: Hypothesis) -> tuple[Word, ...]:
        return tuple(Word(word, 0.0, 1.0, 1.0) for word in best.text.split())


def utterance(name: str, text: str | None = "one two", **more: Any) -> Utterance:
    made = Utterance(name, Path(f"{name}.wav"), 3.0, text)
    return replace(made, **more)


def opened(place: Path, name: str = "net", **options: Any) -> PredictionFolder:
    parrot: Any = Parrot(name, **options.pop("more", {}))
    output = options.pop("output", None)
    return PredictionFolder(place, parrot, InferencerSettings("a.pth", "a", **options), output)


def heard(folder: PredictionFolder, *utterances: Utterance, text: str = "one two") -> None:
    for each in utterances:
        best = Hypothesis(text, -1.0, (1,), (0,), (0.9,))
        folder.write(Recognized(each, each.text, {"Argmax": [best]}))


def test_a_broken_off_overwrite_leaves_nothing_of_the_other_model(tmp_path: Path) -> None:
    a, b = utterance("a"), utterance("b")
    heard(opened(tmp_path, "old"), a, b)
    with pytest.raises(ConfigError, match="predictions already, of another model or decoder"):
        opened(tmp_path, "new")
    heard(opened(tmp_path, "new", overwrite=True), a, text="one too")
    found = opened(tmp_path, "new").finished([a, b])
    assert {name: each["pred_text"] for name, each in found.items()} == {"a": "one too"}


def test_older_marks_tell_less_and_agree(tmp_path: Path) -> None:
    heard(opened(tmp_path), utterance("a"))
    assert opened(tmp_path, more={"language_model": "1f"}).finished([utterance("a")])
    with pytest.raises(ConfigError, match="of another model or decoder"):
        opened(tmp_path, more={"language_model": "2e"})


def test_a_mended_reference_counts(tmp_path: Path) -> None:
    heard(opened(tmp_path), utterance("a", "one tow"), utterance("b", None))
    mended = [utterance("a", "one two"), utterance("b", "One, two!")]
    found = opened(tmp_path).finished(mended)
    assert [each["text"] for each in found.values()] == ["one two", "one two"]
    kept = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert kept["text"] == "one two"


@pytest.mark.parametrize(
    ("reference", "causes", "known"),
    [
        ("one tow", {"acoustic": 1}, ErrorBudget(acoustic=1, words=2)),
        ("one two", {"acoustic": 1}, ErrorBudget()),  # another reference: they are not its causes
        ("one tow", {"acoustic": float("inf")}, ErrorBudget()),
        ("one tow", {"words": 1}, ErrorBudget()),
        ("one tow", [], ErrorBudget()),
    ],
)
def test_causes_of_errors_are_recalled_with_their_reference(
    tmp_path: Path, reference: str, causes: Any, known: ErrorBudget
) -> None:
    best = Hypothesis("one two", -1.0, (1,), (0,), (0.9,))
    budgets = {"Argmax": ErrorBudget(acoustic=1, words=2)}
    result = Recognized(utterance("a", "one tow"), "one tow", {"Argmax": [best]}, budgets)
    opened(tmp_path).write(result)
    content = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert content["causes"] == {"Argmax": {"acoustic": 1}}
    (tmp_path / "a.json").write_text(json.dumps(content | {"causes": {"Argmax": causes}}))
    evaluation = Evaluation.of([GreedyDecoder(ENCODER)], budget=True)
    earlier = opened(tmp_path).finished([utterance("a", reference)])
    recall(evaluation, earlier.values(), "Argmax")
    assert evaluation.scores["Argmax"].words.reference == 2
    assert evaluation.budgets["Argmax"] == known


@pytest.mark.parametrize(
    ("utterance_change", "max_segment"),
    [({"offset": 5.0}, None), ({"duration": 2.0}, None), ({}, 2.5)],
)
def test_another_part_is_heard_anew(
    tmp_path: Path, utterance_change: dict[str, float], max_segment: float | None
) -> None:
    first = utterance("a")
    heard(opened(tmp_path), first)
    assert opened(tmp_path, max_segment=4.0).finished([first])
    now = utterance("a", **utterance_change)
    again = opened(tmp_path, max_segment=max_segment)
    assert again.finished([now]) == {}
    heard(again, now)
    assert opened(tmp_path, max_segment=max_segment).finished([now])


@pytest.mark.parametrize("name", ["jsonl", "ctm"])
def test_one_file_for_all_is_continued_or_kept(tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    options: dict[str, Any] = {"formats": [name], "output": out}
    a, b = utterance("a"), utterance("b")
    folder = opened(tmp_path / "predictions", **options)
    heard(folder, a)
    folder.finish()
    first = (out / f"transcripts.{name}").read_text(encoding="utf-8")
    folder = opened(tmp_path / "predictions", **options)
    folder.finished([a, b])
    heard(folder, b)
    folder.finish()
    both = (out / f"transcripts.{name}").read_text(encoding="utf-8")
    assert first in both
    assert len(both) > len(first)
    assert not folder.spared

    (out / f"transcripts.{name}").write_text("mine\n", encoding="utf-8")
    folder = opened(tmp_path / "predictions", **options)
    folder.finished([a, b])
    folder.finish()
    assert (out / f"transcripts.{name}").read_text(encoding="utf-8") == "mine\n"
    assert folder.spared == [out / f"transcripts.{name}"]
    folder = opened(tmp_path / "predictions", overwrite=True, **options)
    heard(folder, a, b)
    folder.finish()
    assert (out / f"transcripts.{name}").read_text(encoding="utf-8") == both


def _write_slowly(place: Path, ready: Event, go: Event) -> None:
    folder = opened(place)
    ready.set()
    go.wait()
    folder.finish()


def test_a_second_process_is_kept_out_until_the_first_has_ended(tmp_path: Path) -> None:
    """Whatever it was asked to do with what is there; a killed one keeps nobody out."""
    context = multiprocessing.get_context("spawn")
    ready, go = context.Event(), context.Event()
    process = context.Process(target=_write_slowly, args=(tmp_path / "part", ready, go))
    process.start()
    assert ready.wait(100)
    for options in ({}, {"overwrite": True}, {"override": True}):
        with pytest.raises(ConfigError, match="another process writes predictions into"):
            opened(tmp_path / "part", **options)
    process.kill()
    process.join()
    opened(tmp_path / "part").finish()


def test_what_a_killed_process_left_is_no_earlier_prediction(tmp_path: Path) -> None:
    left = remains(tmp_path / MADE_WITH)
    left.write_text("half", encoding="utf-8")
    heard(opened(tmp_path), utterance("a"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [MADE_WITH, INDEX, "a.json"]


def test_a_folder_where_a_prediction_should_be(tmp_path: Path) -> None:
    folder = opened(tmp_path)
    (tmp_path / "a.json").mkdir()
    with pytest.raises(IsADirectoryError, match=r"a\.json") as caught:
        heard(folder, utterance("a"))
    assert "inferencer.save_path" in sentence(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == [MADE_WITH, INDEX, "a.json"]


def test_what_others_wrote_is_never_deleted(tmp_path: Path) -> None:
    """Neither beside predictions, nor in a folder that contains nothing else."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    heard(opened(ours), utterance("a"))
    for folder in (ours, theirs):
        folder.mkdir(exist_ok=True)
        (folder / "settings.json").write_text('{"pred_text": "x", "text": null}', "utf-8")
        with pytest.raises(ConfigError, match=r"settings.json is no prediction of this program"):
            opened(folder, "new", overwrite=True)
    assert sorted(path.name for path in ours.glob("*.json")) == ["a.json", "settings.json"]
    (ours / "settings.json").unlink()
    opened(ours, "new", overwrite=True)
    assert not list(ours.glob("*.json"))


def test_a_folder_from_before_there_was_an_index(tmp_path: Path) -> None:
    heard(opened(tmp_path), utterance("a"))
    (tmp_path / INDEX).unlink()
    opened(tmp_path, "new", overwrite=True)
    assert not list(tmp_path.glob("*.json"))


@settings(max_examples=200)
@given(names=st.lists(NAMES, min_size=1, max_size=3, unique=True))
def test_no_name_leads_out_of_the_folder(
    names: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("names")
    (place / "kept.json").write_text("{}", "utf-8")
    folder = place / "a" / "b"
    made = [utterance("x", id=name) for name in names]
    writing = opened(folder, formats=["txt"])
    heard(writing, *made)
    writing.write_error(made[0], "broken")
    writing.finish()
    assert len(list(folder.glob("*.json"))) == len(names)
    assert all(
        path.is_relative_to(folder) for path in place.rglob("*.json") if path.name != "kept.json"
    )
    opened(folder, "new", overwrite=True)
    assert [path.name for path in place.rglob("*.json")] == ["kept.json"]


def test_a_recording_of_dots_has_a_folder_of_its_own(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "...flac", np.zeros(1600), 16000, format="FLAC")
    corpora = {
        "audio": DirectoryCorpus(tmp_path / "...flac"),
        "one": Corpus("x", [utterance("a")]),
        "two": Corpus("x", [utterance("a")]),
        "three": Corpus("two", [utterance("a")]),
    }
    folders = prediction_folders(corpora, tmp_path / "saved")
    assert len(set(folders.values())) == 4
    assert all(folder.parent == tmp_path / "saved" for folder in folders.values())
    assert all(folder.name == safe_name(folder.name) for folder in folders.values())
    assert (folders["one"].name, folders["two"].name) == ("one", "two")


def test_what_another_model_or_recording_gave_is_set_aside_if_so_asked(tmp_path: Path) -> None:
    """As a second `-cn=transcribe` does: it works, and nothing that was heard is lost."""
    place = tmp_path / "talk"
    changed = {"override": "changed"}
    heard(opened(place, **changed), utterance("a"), text="first")
    assert opened(place, **changed).finished([utterance("a")])["a"]["pred_text"] == "first"
    assert [path.name for path in tmp_path.glob("[!.]*")] == ["talk"]
    other = opened(place, "other", **changed)  # another model
    assert other.finished([utterance("a")]) == {}
    heard(other, utterance("a"), text="second")
    elsewhere = utterance("a", audio=Path("elsewhere/a.wav"))
    third = opened(place, "other", **changed)
    assert third.finished([elsewhere]) == {}
    heard(third, elsewhere, text="third")
    kept = {
        p.parent.name: json.loads(p.read_text())["pred_text"] for p in tmp_path.glob("*/a.json")
    }
    assert kept == {"talk.old-1": "first", "talk.old-2": "second", "talk": "third"}


def test_a_folder_of_other_things_is_never_set_aside(tmp_path: Path) -> None:
    (tmp_path / "notes.json").write_text("{}")
    with pytest.raises(ConfigError, match="contains predictions already, of another model"):
        opened(tmp_path, override="changed")
    assert (tmp_path / "notes.json").exists()
