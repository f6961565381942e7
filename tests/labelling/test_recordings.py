"""What is transcribed, what is kept of it, and in which order it is looked at."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path

import pytest

from deepspeech2.commands.label import main
from deepspeech2.decoding import BeamSearchDecoder
from deepspeech2.errors import ConfigError
from deepspeech2.extras.labelling import recordings
from deepspeech2.extras.labelling.export import CORRECTED, SURE
from deepspeech2.extras.labelling.journal import JOURNAL, Journal
from deepspeech2.extras.labelling.labels import Change
from deepspeech2.extras.labelling.ordering import order
from deepspeech2.extras.labelling.recordings import (
    TRANSCRIPTS,
    Item,
    open_corpus,
    transcribe,
)
from deepspeech2.inference import Recognizer
from tests.disks import full_disk


def heard(folder: Path, recognizer: Recognizer) -> list[Item]:
    place, corpus = open_corpus(folder)
    return transcribe(place, corpus.utterances, recognizer)


def test_it_is_what_the_recogniser_hears(folder: Path, recognizer: Recognizer) -> None:
    (folder / "0.txt").write_text("AB, ba!", encoding="utf-8")
    items = heard(folder, recognizer)
    assert [item.name for item in items] == [
        "0.wav", "1.wav", "2.wav", "4.wav", "5.wav", "in/3.wav",
    ]  # fmt: skip
    for item in items:
        expected = recognizer.transcribe(folder / item.name)
        assert item.heard.text == expected.text
        assert item.heard.confidence == pytest.approx(expected.confidence)
        assert [word.word for word in item.heard.words] == expected.text.split()
    assert items[0].text == "ab ba"
    assert items[1].text == items[1].heard.text
    missing = 1 - items[1].heard.confidence
    assert items[1].doubt == pytest.approx(max(missing, items[1].difference))


def test_a_beam_has_other_texts_to_choose_from(
    folder: Path, toy_run: Path, recognizer: Recognizer
) -> None:
    wide = Recognizer.from_checkpoint(
        toy_run / "model_best.pth", device="cpu", decoder=partial(BeamSearchDecoder, nbest=10)
    )
    items = heard(folder, wide)
    assert [item.heard.other for item in items] == [
        recognizer.transcribe(folder / item.name).text for item in items
    ]
    assert any(item.heard.nbest for item in items)
    for item in items:
        assert len({item.heard.text, *item.heard.nbest}) == 1 + len(item.heard.nbest) <= 9


def test_a_second_start_transcribes_only_what_is_new(
    folder: Path, recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = heard(folder, recognizer)
    with (folder / TRANSCRIPTS).open("ab") as file:
        file.write(b'\n{"utterance": "0.w')  # of a run that was killed
    done: list[str] = []
    real = recordings._decoded

    def counted(utterance, *others):  # type: ignore[no-untyped-def]
        done.append(utterance.audio.name)
        return real(utterance, *others)

    monkeypatch.setattr(recordings, "_decoded", counted)
    assert heard(folder, recognizer) == first
    assert not done
    os.utime(folder / "1.wav", (1, 1))
    heard(folder, recognizer)
    assert done == ["1.wav"]
    heard(folder, recognizer)
    assert done == ["1.wav"]


def test_a_full_disk_is_named_and_the_next_start_goes_on(
    folder: Path, recognizer: Recognizer
) -> None:
    first = heard(folder, recognizer)
    path = folder / TRANSCRIPTS
    content = path.read_bytes()
    path.unlink()
    with full_disk(len(content) // 2), pytest.raises(OSError, match=TRANSCRIPTS):
        heard(folder, recognizer)
    assert content.startswith(path.read_bytes())
    assert heard(folder, recognizer) == first


def test_a_recording_that_becomes_unreadable_is_shown_first(
    folder: Path, recognizer: Recognizer
) -> None:
    place, corpus = open_corpus(folder)
    (folder / "2.wav").write_bytes(b"no sound")
    items = order(transcribe(place, corpus.utterances, recognizer), "doubt")
    assert items[0].name == "2.wav"
    assert items[0].doubt == 1
    assert items[0].heard.error


def test_orders(folder: Path, recognizer: Recognizer, tmp_path: Path) -> None:
    items = heard(folder, recognizer)
    doubts = [item.doubt for item in order(items, "doubt")]
    assert doubts == sorted(doubts, reverse=True)
    times = [item.utterance.duration for item in order(items, "duration")]
    assert times == sorted(times)
    scores = tmp_path / "scores.tsv"
    scores.write_text("in/3.wav\t2.5\n1 3\n", encoding="utf-8")
    names = [item.name for item in order(items, str(scores))]
    assert names == ["1.wav", "in/3.wav", "0.wav", "2.wav", "4.wav", "5.wav"]
    rows = [  # as deepspeech2 suspects writes them
        {"audio_filepath": str((folder / name).resolve()), "offset": 0.0, "suspicion": suspicion}
        for name, suspicion in (("4.wav", 1.5), ("2.wav", None))
    ]
    scores.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert [item.name for item in order(items, str(scores))][:3] == ["2.wav", "4.wav", "0.wav"]
    with pytest.raises(ConfigError, match="--order must be one of"):
        order(items, "nothing")
    scores.write_text("0.wav high\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="line 1, has no path and score"):
        order(items, str(scores))


def test_parts_of_a_recording_come_from_a_manifest(folder: Path, recognizer: Recognizer) -> None:
    rows = [
        {"audio_filepath": "0.wav", "offset": 0.1 * n, "duration": 0.2, "text": f"a{'b' * n}"}
        for n in range(2)
    ]
    manifest = folder / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for path in (folder, manifest):
        items = heard(path, recognizer)
        assert [(item.name, item.audio) for item in items] == [
            ("0.wav", "0.wav"), ("0.wav#0.1", "0.wav"),
        ]  # fmt: skip
        assert [item.text for item in items] == ["a", "ab"]
    manifest.write_text(json.dumps(rows[0]) + "\n" + json.dumps(rows[0]) + "\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="begin where another begins"):
        heard(folder, recognizer)


def test_both_decoders_are_compared_and_a_given_text_with_both(folder: Path) -> None:
    item = Item(
        "a", "a", open_corpus(folder)[1][0], None,
        recordings.Heard(utterance="a", key=[], text="abcd", other="abxd", confidence=0.9),
    )  # fmt: skip
    assert item.difference == 0.25
    assert item.doubt == 0.25
    given = Item("a", "a", item.utterance, "abxx", item.heard)
    assert (given.text, given.difference) == ("abxx", 0.5)


def test_the_command_exports_and_refuses(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change = Change(utterance="0.wav", audio="0.wav", text="ab", state="corrected", who="ann")
    Journal(folder).add(change)
    assert main([str(folder), "--export"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{folder / CORRECTED}: 1 utterances", f"{folder / SURE}: 0 utterances",
    ]  # fmt: skip
    assert main([str(folder), "--min-confidence", "2"]) == 2
    assert "--min-confidence must be from 0 to 1, but is 2" in capsys.readouterr().err
    (folder / JOURNAL).write_text('{"text": "mine"}\n', encoding="utf-8")
    assert main([str(folder), "--port", "0"]) == 2
    assert "move the file away" in capsys.readouterr().err
    assert main([str(folder / "none"), "--port", "0"]) == 2
