"""Other programs' libraries read what is written."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import srt
import webvtt
from hypothesis import given, settings
from hypothesis import strategies as st
from praatio import textgrid

from deepspeech2.decoding import Word
from deepspeech2.transcripts import FORMATS, LINE, LINES, LONGEST, Transcript, cues

LETTERS = st.text("abcdefghijklmnopqrstuvwxyz'äß語<>&\"", min_size=1, max_size=60)


@st.composite
def transcripts(draw: st.DrawFn) -> Transcript:
    """Words in their order, with pauses between some of them."""
    words, now = [], 0.0
    for text in draw(st.lists(LETTERS, max_size=40)):
        start = now + draw(st.sampled_from([0.0, 0.04, 0.5, 3.0]))
        now = start + draw(st.sampled_from([0.04, 0.3, 1.2]))
        confidence = draw(st.sampled_from([0.0, 0.5, 1.0]))
        words.append(Word(text, round(start, 3), round(now, 3), confidence))
    text = " ".join(word.word for word in words)
    return Transcript(text, tuple(words), 0.5, round(now + 0.5, 3), id="some recording")


EMPTY = Transcript("", (), 0.0, 1.5)


@settings(max_examples=60)
@given(transcripts())
def test_cues_follow_each_other_and_hold_all_words(transcript: Transcript) -> None:
    found = cues(transcript.words, transcript.duration)
    joined = "".join(line for cue in found for line in cue.lines)
    assert joined.replace(" ", "") == transcript.text.replace(" ", "")
    for cue in found:
        assert 0 <= cue.start <= cue.end <= transcript.duration
        assert all(len(line) <= LINE for line in cue.lines)
    for cue, following in pairwise(found):
        assert cue.end <= following.start
    several = [cue for cue in found if len(" ".join(cue.lines).split()) > 1]
    assert all(len(cue.lines) <= LINES for cue in several if max(map(len, cue.lines)) < LINE)
    assert all(cue.end - cue.start <= LONGEST for cue in several)


@settings(max_examples=40)
@given(transcripts())
def test_subtitles(transcript: Transcript) -> None:
    found = cues(transcript.words, transcript.duration)
    subtitles = list(srt.parse(FORMATS["srt"](transcript)))
    assert [each.content.split("\n") for each in subtitles] == [list(c.lines) for c in found]
    for subtitle, cue in zip(subtitles, found, strict=True):
        assert subtitle.start.total_seconds() == pytest.approx(cue.start, abs=6e-4)
        assert subtitle.end.total_seconds() == pytest.approx(cue.end, abs=6e-4)
    assert [each.index for each in subtitles] == list(range(1, len(found) + 1))


@settings(max_examples=40)
@given(transcripts().filter(lambda each: not set("<>&") & set(each.text)))
def test_web_subtitles(transcript: Transcript) -> None:
    found = cues(transcript.words, transcript.duration)
    captions = webvtt.from_string(FORMATS["vtt"](transcript)).captions
    assert [each.text.split("\n") for each in captions] == [list(c.lines) for c in found]
    for caption, cue in zip(captions, found, strict=True):
        assert caption.start_in_seconds == pytest.approx(cue.start, abs=1.0)
        assert caption.start[-4:] == f"{cue.start:.3f}"[-4:]


def test_web_subtitles_escape_what_would_be_markup() -> None:
    word = Word("a<b>&c", 0.0, 1.0, 1.0)
    assert "a&lt;b&gt;&amp;c" in FORMATS["vtt"](Transcript("a<b>&c", (word,), 1.0, 2.0))


@settings(max_examples=30)
@given(transcripts())
def test_text_grid(tmp_path_factory: pytest.TempPathFactory, transcript: Transcript) -> None:
    path = tmp_path_factory.getbasetemp() / "a.TextGrid"
    path.write_text(FORMATS["TextGrid"](transcript), encoding="utf-8")
    grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=True)
    tier = grid.getTier("words")
    assert tier.maxTimestamp == pytest.approx(transcript.duration)
    said = [entry for entry in tier.entries if entry.label]
    assert [entry.label for entry in said] == [word.word for word in transcript.words]
    for entry, word in zip(said, transcript.words, strict=True):
        assert (entry.start, entry.end) == pytest.approx((word.start, word.end), abs=1e-6)
    assert tier.entries[0].start == 0
    for entry, following in pairwise(tier.entries):
        assert entry.end == following.start


@settings(max_examples=30)
@given(transcripts())
def test_tables(transcript: Transcript) -> None:
    assert FORMATS["txt"](transcript) == transcript.text + "\n"
    head, *lines = FORMATS["tsv"](transcript).splitlines()
    assert head.split("\t") == ["start", "end", "confidence", "word"]
    marked = FORMATS["ctm"](transcript).splitlines()
    for line, mark, word in zip(lines, marked, transcript.words, strict=True):
        start, end, confidence, text = line.split("\t")
        assert (int(start), int(end)) == (round(1000 * word.start), round(1000 * word.end))
        name, channel, begin, length, heard, trust = mark.split(" ")
        assert (name, channel, heard, text) == ("some_recording", "1", word.word, word.word)
        assert float(begin) + float(length) == pytest.approx(word.end, abs=2e-3)
        assert float(trust) == float(confidence) == word.confidence


@pytest.mark.parametrize("name", FORMATS)
def test_nothing_heard(tmp_path: Path, name: str) -> None:
    text = FORMATS[name](EMPTY)
    if name == "TextGrid":
        (tmp_path / "a").write_text(text)
        tier = textgrid.openTextgrid(str(tmp_path / "a"), includeEmptyIntervals=True)
        assert [tuple(entry) for entry in tier.getTier("words").entries] == [(0.0, 1.5, "")]
    elif name == "srt":
        assert list(srt.parse(text)) == []
    elif name == "vtt":
        assert len(webvtt.from_string(text)) == 0
    else:
        assert text.strip() == ("start\tend\tconfidence\tword" if name == "tsv" else "")
