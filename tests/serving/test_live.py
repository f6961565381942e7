"""Words while somebody speaks, and workers that share a model."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path

import numpy as np
import pytest

from deepspeech2.decoding import Word
from deepspeech2.extras.serving.live import Live, StreamLive, WindowLive, live
from deepspeech2.extras.serving.workers import BusyError, Workers
from deepspeech2.inference import Recognizer
from tests.inference.test_streaming import noise
from tests.inference.test_streaming import recognizer as random_recognizer
from tests.toy import RATE, speak


def told(recording: Live, known: list[Word]) -> int:
    """Bring what a client knows up to date; how many words it was told."""
    progress = recording.progress()
    assert 0 <= progress.settled <= len(known)
    known[progress.settled :] = progress.words
    return len(progress.words)


def test_a_model_that_needs_the_whole_hears_windows(recognizer: Recognizer, toy_run: Path) -> None:
    rows = (toy_run.parent / "data/train.jsonl").read_text().splitlines()
    texts = [json.loads(row)["text"].lower() for row in rows]
    whole = np.concatenate([speak(text, number) for number, text in enumerate(texts)])
    recording = live(recognizer)
    assert isinstance(recording, WindowLive)
    counts, sizes = [], []
    words: list[Word] = []
    for first in range(0, len(whole), RATE // 4):
        recording.add(whole[first : first + RATE // 4])
        sizes.append(told(recording, words))
        counts.append(len(words))
    starts = [word.start for word in words]
    assert starts == sorted(starts)
    assert len(whole) > 20 * RATE
    assert counts[-1] > 20
    assert max(sizes) < counts[-1] / 2  # what is settled is told once
    assert counts[len(counts) // 2] > counts[-1] / 4  # they came while it was spoken
    final = recording.finish()
    assert final == recognizer.transcribe(whole)
    assert len(words) == pytest.approx(len(final.words), rel=0.15)


def test_a_model_that_streams_hears_each_frame_once() -> None:
    model = random_recognizer()
    recording = live(model)
    assert isinstance(recording, StreamLive)
    samples = noise(12.0).numpy()
    words: list[Word] = []
    sizes = []
    for first in range(0, len(samples), 3000):
        recording.add(samples[first : first + 3000])
        sizes.append(told(recording, words))
    final = recording.finish()
    assert final.text == model.transcribe(samples).text
    assert len(words) > 20
    for early, late in zip(words[:-1], final.words, strict=False):
        assert (early.word, early.start, early.end) == (late.word, late.start, late.end)
        assert early.confidence == pytest.approx(late.confidence)  # sums of other lengths
    assert max(sizes) < len(words) / 2


def test_workers_count_what_runs_not_who_waits() -> None:
    async def scene() -> None:
        workers, go = Workers(1, 1), threading.Event()
        first = asyncio.create_task(workers.run(go.wait, 10))
        second = asyncio.create_task(workers.run(lambda: "second"))
        await asyncio.sleep(0.05)
        with pytest.raises(BusyError, match="2 recordings"):
            await workers.run(lambda: None)
        patient = asyncio.create_task(workers.run(lambda: "patient", patient=True))
        await asyncio.sleep(0.05)
        first.cancel()  # its caller is gone, its thread is not
        second.cancel()  # it never ran
        await asyncio.sleep(0.05)
        assert workers.taken == 2
        go.set()
        assert await patient == "patient"
        await asyncio.sleep(0.05)
        assert workers.taken == 0
        with pytest.raises(ZeroDivisionError):
            await workers.run(lambda: 1 // 0)
        await asyncio.sleep(0.05)
        assert workers.taken == 0
        workers.close()

    asyncio.run(scene())
