"""The page: what it shows, in which order, and that nothing of a text becomes part of it."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest

from deepspeech2.extras.segmentation import page
from deepspeech2.extras.segmentation.page import render

NASTY = '</p><script>alert(1)</script><img src=x onerror="a()">\x1b[2J\u202e'


class Elements(HTMLParser):
    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(content)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def row(name: str, score: float, why: str = "", **changed: Any) -> dict[str, Any]:
    return {
        "id": name, "audio_filepath": None if why else f"a b/ä?#/{name}.flac", "start": 3723.0,
        "duration": 4.5, "text": "good day", "written": "Good day!", "heard": "god day",
        "kept": not why, "why": why, "score": score, "worst_word": score, "cer": 0.125,
        "recording": "talk.mp3", **changed,
    }  # fmt: skip


def test_the_worst_come_first_with_sound_and_reason() -> None:
    found = Elements(
        render([row("b", -0.2), row("c", -1.5, "words are not said"), row("a", -0.7)], "x")
    )
    assert [each["id"] for each in found.all("article")] == ["c", "a", "b"]
    assert [each["class"] for each in found.all("article")] == ["dropped", "kept", "kept"]
    sources = [each["src"] for each in found.all("audio")]
    assert sources == ["a%20b/%C3%A4%3F%23/a.flac", "a%20b/%C3%A4%3F%23/b.flac"]
    for shown in (
        "words are not said",
        "-1.50",
        "1:02:03 to 1:02:08",
        "Good day!",
        "god day",
        "12 %",
    ):
        assert shown in found.text


def test_nothing_of_a_text_becomes_part_of_the_page() -> None:
    plain = Elements(render([row("a", -0.7, "score")], "x"))
    fields = ("id", "written", "heard", "why", "recording")
    nasty = row("a", -0.7, "score") | dict.fromkeys(fields, NASTY)
    content = render([nasty], NASTY)
    found = Elements(content)
    assert [tag for tag, _ in found.tags] == [tag for tag, _ in plain.tags]
    assert "\x1b" not in content
    assert "\u202e" not in content


def test_nothing_runs_and_nothing_is_fetched() -> None:
    content = render([row("a", -0.7)], "x")
    assert not Elements(content).all("script")
    assert "//" not in content


def test_of_too_many_the_best_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "_MOST", 2)
    content = render([row(f"{n}", -n / 10) for n in range(5)], "x")
    assert [each["id"] for each in Elements(content).all("article")] == ["4", "3"]
    assert "segments.jsonl has 3 more" in content
    assert "0 kept and" in render([], "x")
