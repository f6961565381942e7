"""An hour in one file against its utterances one by one: WER, times, memory, speed.

python -m benchmarks.long_audio --speech LibriSpeech --checkpoint MODEL [--silence 0.5]
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.report import report
from src.audio.reading import read_audio
from src.datasets import LibriSpeechCorpus
from src.decoding import Decoder, GreedyDecoder, words
from src.inference import Recognizer
from src.metrics import CorpusScore
from src.types import Hypothesis, Padded, Utterance

RATE = 16000
PARTS = ("test-clean-35m", "dev-clean-70m")


def join(speech: Path, path: Path, hours: float, silence: float) -> list[tuple[Utterance, float]]:
    """Write utterances one after the other; returns them with the second that each starts at."""
    corpus = LibriSpeechCorpus(list(PARTS), speech, download=False)
    placed, now = [], 0
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        for utterance in corpus:
            if now / RATE >= 3600 * hours:
                break
            samples = read_audio(utterance.audio).numpy()
            placed.append((utterance, now / RATE))
            pause = np.zeros(round(silence * RATE), np.float32)
            file.write(np.concatenate((samples, pause)))
            now += len(samples) + len(pause)
    return placed


def shifts(
    recognizer: Recognizer, whole: Hypothesis, alone: list[tuple[Hypothesis, float]]
) -> list[float]:
    """Seconds between the times of a word in the whole and alone, of words heard alike in order."""

    def timed(hypothesis: Hypothesis, start: float) -> list[tuple[str, float]]:
        found = words(
            hypothesis, recognizer.seconds_per_frame, text_encoder=recognizer.text_encoder
        )
        return [(word.word, start + word.start) for word in found]

    ours = timed(whole, 0.0)
    starts = np.array([time for _, time in ours])
    distances = []
    for hypothesis, start in alone:
        for word, moment in timed(hypothesis, start):
            first, last = np.searchsorted(starts, (moment - 1.0, moment + 1.0))
            near = [abs(time - moment) for other, time in ours[first:last] if other == word]
            if near:
                distances.append(min(near))
    return distances


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speech", type=Path, required=True, help="folder with the parts")
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--hours", type=float, default=1.0, help="(default: %(default)s)")
    parser.add_argument("--silence", type=float, default=0.0, help="s between utterances")
    parser.add_argument("--segment", type=float, default=40.0, help="s (default: %(default)s)")
    parser.add_argument("--greedy", action="store_true", help="not the checkpoint's own decoder")
    parser.add_argument("--whole-only", action="store_true", help="for the memory of the whole")
    options = parser.parse_args()
    decoder = GreedyDecoder if options.greedy else None
    recognizer = Recognizer.from_checkpoint(options.checkpoint, device="cpu", decoder=decoder)
    chosen: list[Decoder] = [recognizer.decoder]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hour.wav"
        placed = join(options.speech.resolve(), path, options.hours, options.silence)
        info = soundfile.info(path)
        recording = Utterance("hour", path, info.duration)
        start = time.perf_counter()
        heard = recognizer.hear(recording, chosen, max_segment=options.segment)
        took = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    whole = heard[recognizer.decoder.name]
    reference = " ".join(recognizer.text_encoder.normalize(u.text or "") for u, _ in placed)
    ours, theirs = CorpusScore(), CorpusScore()
    ours.add(reference, whole.text)
    alone: list[tuple[Hypothesis, float]] = []
    start = time.perf_counter()
    for utterance, begins in [] if options.whole_only else placed:
        waveform = read_audio(utterance.audio)
        hypothesis = recognizer.decoder(recognizer.pipeline.emissions(Padded.stack([waveform])))
        alone.append((hypothesis[0][0], begins))
        theirs.add(recognizer.text_encoder.normalize(utterance.text or ""), hypothesis[0][0].text)
    alone_took = time.perf_counter() - start
    distances = shifts(recognizer, whole, alone)
    print(
        report(
            "long_audio",
            ours=round(100 * ours.wer, 3),
            theirs=round(100 * theirs.wer, 3) if alone else float("nan"),
            unit="% WER",
            higher_is_better=False,
            hours=round(info.duration / 3600, 3),
            decoder=recognizer.decoder.name,
            silence=options.silence,
            segment=options.segment,
            words=len(whole.text.split()),
            words_alone=sum(len(h.text.split()) for h, _ in alone),
            matched=len(distances),
            shift_median=round(float(np.median(distances)), 4) if distances else None,
            shift_95=round(float(np.percentile(distances, 95)), 4) if distances else None,
            shift_99=round(float(np.percentile(distances, 99)), 4) if distances else None,
            peak_memory_gib=round(memory, 3),
            seconds=round(took, 1),
            seconds_alone=round(alone_took, 1),
        )
    )


if __name__ == "__main__":
    main()
