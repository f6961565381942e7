"""The page of errors: in a headless Chromium, and what goes into it."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from deepspeech2.errors import ConfigError
from deepspeech2.metrics.calibration import judged, reliability
from deepspeech2.metrics.edits import align_both
from deepspeech2.metrics.html import Recordings, as_html, spectrogram, write_html
from deepspeech2.metrics.predictions import Entry, Predictions
from deepspeech2.metrics.report import Report, Wanted, report
from tests.browser import Browser, chromium, complaints, needs_browser

RATE = 16000
TEXTS = [
    ("u0", "the quick brown fox", "the quick brown fox"),
    ("u1", "one two three four", "one too three four five"),
    ("u2", "</script> is a word", "is a </script><b>word</b>"),
    ("u3", "alone", ""),
]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("audio")
    entries = []
    for number, (name, reference, hypothesis) in enumerate(TEXTS):
        path = folder / f"{name}.flac"
        time = np.arange(RATE * (number + 1)) / RATE
        soundfile.write(path, 0.3 * np.sin(2 * np.pi * 1000 * time), RATE)
        words = [
            {"word": word, "confidence": 0.95 - 0.1 * n}
            for n, word in enumerate(hypothesis.split())
        ]
        fields = {
            "audio_path": str(path) if number != 3 else str(folder / "gone.wav"),
            "duration": number + 1.0,
            "speaker": ["ann", "bob"][number % 2],
            "confidence": 0.9 - 0.2 * number,
            "words": words,
            "nbest": [{"pred_text": hypothesis, "score": -1.0}, {"pred_text": "x", "score": -2.5}],
        }
        entries.append(Entry(name, reference, hypothesis, fields))
    return report(Predictions(entries), str, Wanted())


def embedded(page: str) -> dict[str, object]:
    start = page.index('type="application/json">') + len('type="application/json">')
    return json.loads(page[start : page.index("</script>", start)])


def test_all_that_is_known_is_in_the_page(found: Report) -> None:
    content = embedded(as_html(found, "mine", Recordings(2)))
    assert content["title"] == "mine"
    rows = {row["id"]: row for row in content["rows"]}
    assert rows["u1"]["steps"] == [
        ["one", "one"],
        ["two", "too"],
        ["three", "three"],
        ["four", "four"],
        [None, "five"],
    ]
    assert rows["u2"]["steps"][-1][1] == "</script><b>word</b>"
    assert [name for name, row in rows.items() if "sound" in row] == ["u1", "u2"]  # the worst
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(rows["u1"]["sound"]["audio"])))
    assert len(samples) / rate == pytest.approx(2.0, abs=0.05)


@pytest.fixture(scope="module")
def compared() -> str:
    """A page of two systems, of which the second is worse by most in u3 and lacks u4."""
    heard = {"u0": "the brown <b>fox", "u1": "one two three four", "u3": "two of them all"}
    first = [Entry(*texts) for texts in (*TEXTS, ("u4", "five", "six"))]
    second = [Entry(name, said, heard.get(name, said)) for name, said, _ in TEXTS]
    found = report(Predictions(first), str, Wanted(), Predictions(second))
    return as_html(found, "mine</script>", other="theirs</script><b>")


def test_two_systems_stand_in_one_page(compared: str) -> None:
    content = embedded(compared)
    assert content["systems"] == ["A: mine</script>", "B: theirs</script><b>"]
    comparison = content["summary"]["comparison"]
    assert comparison["utterances"] == 4
    assert comparison["alone"] == ["u4"]
    assert content["p"].startswith("= ")
    rows = {row["id"]: row for row in content["rows"]}
    assert rows["u0"]["steps"] == [
        ["the", "the", "the"],
        ["quick", "quick", None],
        ["brown", "brown", "brown"],
        ["fox", "fox", "<b>fox"],
    ]
    assert (rows["u0"]["other_errors"], rows["u0"]["other_wer"]) == (2, 0.5)
    assert rows["u1"]["steps"][-1] == [None, "five", None]
    assert rows["u4"]["steps"] == [["five", "six"]]
    assert "<b>" not in compared[compared.index("application/json") :].split("</script>")[0]


def test_words_that_either_system_puts_in_share_their_place() -> None:
    found = align_both(["a", "b"], ["x", "a", "y", "z", "b"], ["a", "w", "b", "v"])
    assert found == [
        (None, "x", None),
        ("a", "a", "a"),
        (None, "y", "w"),
        (None, "z", None),
        ("b", "b", "b"),
        (None, None, "v"),
    ]
    assert align_both([], [], []) == []


def test_chosen_utterances_are_heard(found: Report) -> None:
    content = embedded(as_html(found, "mine", Recordings(names=["u0", "u3"])))
    # u3's recording is gone
    assert [row["id"] for row in content["rows"] if "sound" in row] == ["u0"]
    with pytest.raises(ConfigError, match="--audio names no utterance: u7, u8"):
        as_html(found, "mine", Recordings(names=["u8", "u0", "u7"]))


def test_recordings_beside_the_predictions(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    soundfile.write(tmp_path / "clips" / "a.wav", np.zeros(4 * RATE), RATE)
    fields = {"audio_path": "clips/a.wav", "offset": "1.5", "duration": "2"}
    made = report(Predictions([Entry("a", "one", "two", fields)]), str, Wanted())
    (row,) = embedded(as_html(made, "mine", Recordings(1, (), [Path("absent"), tmp_path])))["rows"]
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(row["sound"]["audio"])))
    assert len(samples) / rate == pytest.approx(2.0, abs=0.05)


def test_the_page_needs_nothing_from_elsewhere(found: Report) -> None:
    page = as_html(found, "mine")
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "src=" not in page


def test_a_tone_is_a_line_in_the_spectrogram() -> None:
    time = np.arange(RATE) / RATE
    found = spectrogram(np.sin(2 * np.pi * 2000 * time).astype(np.float32), RATE)
    values = np.frombuffer(base64.b64decode(found["picture"]), np.uint8)
    picture = values.reshape(found["width"], found["height"])
    assert found["width"] == pytest.approx(100, abs=2)
    loudest = picture[20:80].argmax(axis=1)
    assert np.all(np.abs(loudest / found["height"] - 2000 / 8000) < 0.03)


def test_a_page_that_cannot_be_written(found: Report, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        write_html(found, str(tmp_path / "file" / "page.html"), "mine")


def test_words_are_judged_by_their_alignment(found: Report) -> None:
    confidences, right, left_out = judged(found.rows)
    assert (len(confidences), left_out) == (4 + 5 + 3, 0)
    assert right.tolist()[4:9] == [True, False, True, True, False]
    bins = reliability(found.rows)
    assert bins is not None
    assert sum(count for *_, count in bins["bins"]) == bins["words"] == 12


def test_nothing_is_known_without_confidences() -> None:
    assert reliability([]) is None


@pytest.fixture(scope="module")
def browser(found: Report, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_html(found, str(path), "mine", Recordings(3))
    with chromium("--autoplay-policy=no-user-gesture-required") as opened:
        opened.get(path.as_uri())
        yield opened


def shown(browser: Browser) -> list[str]:
    rows = "return [...document.querySelectorAll('tbody tr.row')].map((row) => row.dataset.id)"
    return list(browser.execute_script(rows))


@pytest.mark.slow
@needs_browser
def test_the_page_sorts_and_searches(browser: Browser) -> None:
    assert shown(browser) == ["u1", "u2", "u3", "u0"]  # most errors first
    head = browser.find_element(By.CSS_SELECTOR, "th[data-key=confidence]")
    head.click()
    assert shown(browser) == ["u0", "u1", "u2", "u3"]
    head.click()
    assert shown(browser) == ["u3", "u2", "u1", "u0"]
    box = browser.find_element(By.ID, "search")
    box.send_keys("BOB")
    assert shown(browser) == ["u3", "u1"]
    assert browser.find_element(By.ID, "count").text == "2 of 4 utterances"
    box.clear()
    box.send_keys("five")
    assert shown(browser) == ["u1"]
    box.clear()
    box.send_keys(" ")
    assert len(shown(browser)) == 4


@pytest.mark.slow
@needs_browser
def test_two_systems_are_sorted_by_where_they_differ(
    browser: Browser, compared: str, tmp_path: Path
) -> None:
    path = tmp_path / "page.html"
    path.write_text(compared, encoding="utf-8")
    before = browser.current_url
    browser.get(path.as_uri())
    try:
        # u3 is worse by 3 errors, u0 by 2; u1 and u2 are better by 2; u4 is in only one
        assert shown(browser) == ["u3", "u0", "u1", "u2", "u4"]
        cells = [e.text for e in browser.find_elements(By.CSS_SELECTOR, "tr[data-id=u0] td")]
        assert "+2" in cells
        assert cells[-1] == "A the quick brown fox\nB the quick brown fox→<b>fox"
        browser.find_element(By.CSS_SELECTOR, "tr[data-id=u0]").click()
        kinds = [
            e.get_attribute("class") for e in browser.find_elements(By.CSS_SELECTOR, ".pair i")
        ]
        assert kinds[-9:] == ["", "", "D", "", "", "", "", "", "S"]
        summary = browser.find_element(By.ID, "summary").text
        assert "95 % interval" in summary
        assert "p = " in summary
        assert "theirs</script><b>" in browser.find_element(By.ID, "systems").text
        assert complaints(browser) == []
    finally:
        browser.get(before)


@pytest.mark.slow
@needs_browser
def test_a_long_table_with_fields_of_any_kind(browser: Browser, tmp_path: Path) -> None:
    """Numbers that are text, as tables have them, numbers that are none, and unknown values."""
    odd = [
        {"duration": "12.5", "confidence": float("nan"), "speaker": 7},
        {"duration": None, "confidence": "sure", "words": "a b"},
        {"duration": 3, "confidence": [0.5], "nbest": ["a", {"pred_text": None}]},
        {"duration": "long", "words": [{"word": "<!--<script>", "confidence": 7}]},
    ]
    entries = [
        Entry(f"u{n:04}", "a b", "<!--<script>", odd[n] if n < len(odd) else {})
        for n in range(1500)
    ]
    path = tmp_path / "page.html"
    write_html(report(Predictions(entries), str, Wanted()), str(path), "long")
    before = browser.current_url
    browser.get(path.as_uri())
    try:
        assert len(shown(browser)) == 1000
        told = browser.find_element(By.ID, "count").text
        assert told == "1500 of 1500 utterances, of which the first 1000 are shown"
        head = browser.find_element(By.CSS_SELECTOR, "th[data-key=duration]")
        for order in (["u0000", "u0002"], ["u0002", "u0000"]):  # what is unknown comes last
            head.click()
            assert shown(browser)[:3] == [*order, "u0001"]
        more = browser.find_element(By.ID, "more")
        assert more.text == "show 500 more"
        more.click()
        assert len(shown(browser)) == 1500
        assert not more.is_displayed()
        assert complaints(browser) == []
    finally:
        browser.get(before)


@pytest.mark.slow
@needs_browser
def test_an_utterance_is_heard_and_seen(browser: Browser) -> None:
    browser.find_element(By.CSS_SELECTOR, "tr[data-id=u1]").click()
    kinds = [e.get_attribute("class") for e in browser.find_elements(By.CSS_SELECTOR, ".pair i")]
    assert kinds[1::2] == ["", "S", "", "", "I"]
    nbest = browser.find_elements(By.CSS_SELECTOR, ".nbest li")
    assert nbest[1].text == "x -2.50"
    play = """
        const done = arguments[0], audio = document.querySelector("audio");
        audio.ontimeupdate = () => { if (audio.currentTime > 0.1) done(audio.duration); };
        audio.onerror = () => done(-1);
        audio.play();
    """
    WebDriverWait(browser, 20).until(lambda b: b.find_elements(By.TAG_NAME, "audio"))
    assert browser.execute_async_script(play) == pytest.approx(2.0, abs=0.1)
    canvas = "const c = document.querySelector('canvas'); return c.width * c.height"
    assert browser.execute_script(canvas) > 1000
    assert browser.find_elements(By.CSS_SELECTOR, "#reliability circle")
    assert complaints(browser) == []
    browser.find_element(By.CSS_SELECTOR, "tr[data-id=u1]").click()
    assert not browser.find_elements(By.CSS_SELECTOR, "tr.detail")
