"""The desk's routes: what is saved, refused, taken back, split and joined."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from fastapi.testclient import TestClient

from deepspeech2.extras.labelling.app import create_app
from deepspeech2.extras.labelling.desk import MODEL, Desk, pauses
from deepspeech2.extras.labelling.journal import JOURNAL, Journal
from deepspeech2.extras.labelling.ordering import order
from deepspeech2.extras.labelling.recordings import open_corpus, transcribe
from deepspeech2.inference import Recognizer
from deepspeech2.settings import ServeSettings
from tests.disks import full_disk

HOME = "http://localhost"


def desk_of(folder: Path, recognizer: Recognizer, by: str = "name") -> Desk:
    place, corpus = open_corpus(folder)
    items = transcribe(place, corpus.utterances, recognizer)
    return Desk(order(items, by), Journal(place), recognizer.text_encoder)


@pytest.fixture
def client(folder: Path, recognizer: Recognizer) -> TestClient:
    app = create_app(desk_of(folder, recognizer), recognizer, ServeSettings(), "ann")
    return TestClient(app, base_url=HOME)


def row(client: TestClient, name: str) -> dict[str, Any]:
    (found,) = (each for each in client.get("/labels").json()["rows"] if each["utterance"] == name)
    return dict(found)


def send(client: TestClient, name: str = "0.wav", text: str = "ab", **values: Any) -> Any:
    given = {"utterance": name, "text": text, "state": "corrected", "who": "ann"}
    content = {**given, "revision": uuid.uuid4().hex, **values}
    return client.post("/change", json=content)


def undo(client: TestClient, **values: Any) -> dict[str, Any]:
    content = {"who": "ann", "revision": uuid.uuid4().hex, **values}
    return dict(client.post("/undo", json=content).json())


def test_a_change_is_in_the_journal_when_it_is_answered(client: TestClient, folder: Path) -> None:
    before = client.get("/labels").json()
    assert [each["state"] for each in before["rows"]] == ["open"] * 6
    answer = send(client, text="AB, ba!", base=None).json()
    assert answer["done"]
    assert answer["count"] == before["count"] + 1
    assert answer["row"]["text"] == "AB, ba!"  # as it was typed
    (change, label) = Journal(folder).read().current["0.wav"]
    assert (label.text, label.written, label.state) == ("ab ba", "AB, ba!", "corrected")
    assert label.end == pytest.approx(soundfile.info(folder / "0.wav").duration, abs=1e-3)
    assert client.get("/labels", params={"count": answer["count"]}).json() == {
        "count": answer["count"]
    }
    # the same again, as a page sends what was not answered
    again = send(client, text="AB, ba!", base=None, revision=change.revision).json()
    assert (again["done"], again["count"]) == (True, answer["count"])


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"text": "12"}, "'12' is not in the model's alphabet"),
        ({"text": " . "}, "no word"),
        ({"name": "../0.wav"}, "no utterance of this folder"),
        ({"start": 2.0, "end": 1.0}, "end must be after start"),
        ({"state": "good"}, "state"),
        ({"audio": "/etc/passwd"}, "audio"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_in_a_sentence(
    client: TestClient, folder: Path, values: dict[str, Any], problem: str
) -> None:
    answer = send(client, **values)
    assert answer.status_code == 422
    assert problem in answer.json()["detail"]
    assert not (folder / JOURNAL).exists()


def test_two_windows_are_shown_both_changes(client: TestClient) -> None:
    first = send(client, text="ab").json()
    second = send(client, text="ba", who="bob").json()
    assert not second["done"]
    assert second["row"]["text"] == "ab"
    (conflict,) = second["row"]["conflicts"]
    assert (conflict["text"], conflict["who"]) == ("ba", "bob")
    decided = {"base": first["row"]["revision"], "settles": [conflict["revision"]]}
    third = send(client, text="ba", who="bob", **decided).json()
    assert third["done"]
    assert (third["row"]["text"], third["row"]["conflicts"]) == ("ba", [])


def test_undo_takes_back_one_change_after_another(client: TestClient) -> None:
    heard = row(client, "0.wav")["text"]
    first = send(client, text="ab").json()
    send(client, text="ba", base=first["row"]["revision"])
    assert undo(client)["utterance"] == "0.wav"
    assert row(client, "0.wav")["text"] == "ab"
    undo(client)
    assert (row(client, "0.wav")["text"], row(client, "0.wav")["state"]) == (heard, "open")
    assert undo(client)["utterance"] is None
    again = send(client, text="ab", base=row(client, "0.wav")["revision"])
    assert again.json()["done"]


def test_a_split_part_is_an_utterance_until_it_is_joined(client: TestClient, folder: Path) -> None:
    end = row(client, "0.wav")["end"]
    part = {"utterance": "0.wav#1", "start": 0.3, "end": end, "text": "ba", "state": "open"}
    answer = send(client, text="ab", end=0.3, state="open", also=[part]).json()
    names = [each["utterance"] for each in answer["rows"]]
    assert names[:3] == ["0.wav", "0.wav#1", "1.wav"]
    later = answer["rows"][1]
    assert (later["start"], later["end"], later["text"]) == (0.3, end, "ba")
    assert client.get("/utterance", params={"name": "0.wav#1"}).json()["first"] == 0
    send(client, "0.wav#1", "ba", start=0.3, end=end, base=later["revision"])
    revision = answer["rows"][0]["revision"]
    joined = [{**part, "state": "joined", "base": row(client, "0.wav#1")["revision"]}]
    joined = send(client, text="ab ba", start=0, end=end, base=revision, also=joined).json()
    assert "0.wav#1" not in [each["utterance"] for each in joined["rows"]]
    undo(client)
    assert row(client, "0.wav#1")["state"] == "corrected"
    assert row(client, "0.wav")["end"] == 0.3


def test_an_utterance_has_choices_words_pauses_and_a_picture(client: TestClient) -> None:
    found = client.get("/utterance", params={"name": "in/3.wav"}).json()
    heard = row(client, "in/3.wav")
    assert heard["text"] in found["nbest"]
    assert [word["word"] for word in found["words"]] == heard["text"].split()
    assert found["last"] == pytest.approx(found["duration"])
    assert found["picture"]["width"] > 10


def test_the_sound_comes_in_ranges(client: TestClient, folder: Path) -> None:
    whole = (folder / "in/3.wav").read_bytes()
    part = client.get("/audio", params={"path": "in/3.wav"}, headers={"Range": "bytes=100-299"})
    assert part.status_code == 206
    assert part.content == whole[100:300]
    wave = client.get("/audio", params={"path": "in/3.wav", "wave": True})
    assert wave.content[:4] == b"RIFF"
    for path in ("../data/val.jsonl", "/etc/passwd", JOURNAL):
        assert client.get("/audio", params={"path": path}).status_code == 422


def test_only_its_own_page_is_answered(client: TestClient, folder: Path) -> None:
    headers = {"Origin": "http://evil.example"}
    for path in ("/change", "/undo"):
        answer = client.post(path, json={}, headers=headers)
        assert answer.status_code == 403
    assert client.get("/labels", headers={"Host": "evil.example"}).status_code == 400
    assert "default-src 'self'" in client.get("/").headers["content-security-policy"]
    assert not (folder / JOURNAL).exists()


def test_a_full_disk_is_answered_so_that_the_page_keeps_the_change(client: TestClient) -> None:
    first = send(client, text="ab").json()["row"]["revision"]
    with full_disk(10):
        answer = send(client, text="ba", base=first, revision="r")
    assert answer.status_code == 507
    assert JOURNAL in answer.json()["detail"]
    assert send(client, text="ba", base=first, revision="r").json()["done"]


def test_the_model_is_sure_of_what_nobody_has_changed(folder: Path, recognizer: Recognizer) -> None:
    desk = desk_of(folder, recognizer)
    app = create_app(desk, recognizer, ServeSettings(), "ann")
    send(TestClient(app, base_url=HOME), "1.wav", "ab")
    confidences = sorted(item.heard.confidence for item in desk.items.values())
    for threshold, expected in ((0.0, 5), (1.0, 0), (confidences[2], None), (0.0, 5)):
        n_sure = desk.accept_sure(threshold, 0.0)
        labels = desk.journal.read()
        sure = {name for name, (_, label) in labels.current.items() if label.state == "sure"}
        assert len(sure) == n_sure
        assert expected in (None, n_sure)
        for name in sure:
            change, label = labels.current[name]
            assert change.who == MODEL
            assert label.confidence == desk.items[name].heard.confidence >= threshold
        assert labels.current["1.wav"][1].state == "corrected"
    before = desk.journal.path.stat().st_size
    desk.accept_sure(0.0, 0.0)  # the same again writes nothing
    assert desk.journal.path.stat().st_size == before


def test_pauses_are_where_it_is_quiet() -> None:
    levels = np.full(100, -60.0)
    levels[20:40] = levels[60:63] = levels[70:90] = -20.0
    found = pauses(levels)
    assert np.allclose(found, [(0, 0.2), (0.4, 0.6), (0.9, 1.0)])
    assert pauses(np.zeros(0)) == []
