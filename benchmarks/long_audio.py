"""An hour in one file against its utterances one by one: WER, times, memory, speed.

python -m benchmarks.long_audio --data DATA --checkpoint MODEL [--silence 0.5]
    [--cutter energy silero fixed] [--segment 10 20 40]
"""

from __future__ import annotations

import argparse
import importlib
import resource
import tempfile
import time
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import torch
from tqdm import tqdm

from benchmarks.report import report
from deepspeech2.audio.blocks import blocks
from deepspeech2.audio.reading import read_audio
from deepspeech2.audio.silence import Levels, Span, cut, plan
from deepspeech2.datasets import LibriSpeechCorpus
from deepspeech2.decoding import GreedyDecoder, words
from deepspeech2.inference import Recognizer
from deepspeech2.inference.long import decode_parts, long_emissions
from deepspeech2.metrics import CorpusScore
from deepspeech2.metrics.edits import align
from deepspeech2.settings.recognition import MAX_SEGMENT
from deepspeech2.types import Hypothesis, Padded, Utterance

RATE = 16000
CUTTERS = ("energy", "silero", "fixed")  # fixed: every so many seconds, whatever is said
Alone = list[tuple[Hypothesis, float]]


def join(
    corpus: LibriSpeechCorpus, path: Path, hours: float, silence: float
) -> list[tuple[Utterance, float]]:
    """Write utterances one after the other; returns them with the second that each starts at."""
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


def shifts(recognizer: Recognizer, whole: Hypothesis, alone: Alone) -> list[float]:
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


def outside(
    recognizer: Recognizer, placed: list[tuple[Utterance, float]], whole: Hypothesis
) -> list[float]:
    """Seconds by which each rightly heard word of the whole lies outside its utterance."""
    spans, references = [], []
    for utterance, begins in placed:
        said = recognizer.text_encoder.normalize(utterance.text or "").split()
        references += said
        spans += [(begins, begins + utterance.duration)] * len(said)
    heard = recognizer.words(whole)
    found, place, number = [], 0, 0
    for step in align(references, [word.word for word in heard]):
        if step.kind == "equal":
            (start, end), word = spans[place], heard[number]
            found.append(max(start - word.start, word.end - end, 0.0))
        place += step.reference is not None
        number += step.hypothesis is not None
    return found


def speech_levels(path: Path, levels: Levels) -> npt.NDArray[np.float64]:
    """(N,) Silero's probability of speech in each step, as decibels that a plan understands."""
    try:
        silero = importlib.import_module("silero_vad")
    except ImportError as error:
        raise SystemExit("--cutter silero needs silero-vad: pip install silero-vad") from error
    model = silero.load_silero_vad()
    samples = torch.cat([torch.from_numpy(block) for block in blocks(path)])
    levels.add(samples.numpy())
    size = 512  # what the model takes at 16 kHz
    chunks = torch.nn.functional.pad(samples, (0, -len(samples) % size)).split(size)
    with torch.no_grad():
        spoken = [60 * float(model(chunk, RATE)) for chunk in tqdm(chunks, desc="Silero")]
    middles = (np.arange(len(chunks)) + 0.5) * size
    steps = (np.arange(len(levels.decibels())) + 0.5) * levels.step
    return np.interp(steps, middles, spoken)


def spans_of(path: Path, cutter: str, segment: float, step: int) -> list[Span]:
    """Where a cutter cuts the recording, in frames of ``step`` samples."""
    levels = Levels(RATE, step)
    longest = int(segment * RATE / step)
    if cutter == "energy":
        return cut(blocks(path), levels, segment)
    if cutter == "silero":
        return plan(speech_levels(path, levels), longest, window=round(0.32 * RATE / step))
    n_frames = -(-soundfile.info(path).frames // step)
    ends = [*range(0, n_frames, longest), n_frames]
    return [Span(first, last) for first, last in pairwise(ends)]


def hear(recognizer: Recognizer, path: Path, spans: list[Span]) -> Hypothesis:
    """The recording with given cuts."""
    with torch.no_grad():
        log_probs = long_emissions(
            blocks(path),
            spans,
            recognizer.pipeline.emissions,
            sample_rate=RATE,
            step=round(recognizer.seconds_per_frame * RATE),
        )
    parts = decode_parts(
        log_probs,
        [recognizer.decoder],
        recognizer.text_encoder,
        1 / recognizer.seconds_per_frame,
    )
    return parts.joined()[recognizer.decoder.name]


def one_by_one(recognizer: Recognizer, placed: list[tuple[Utterance, float]]) -> Alone:
    """What is heard in each utterance, and the second that it starts at."""
    heard = []
    with torch.no_grad():
        for utterance, begins in tqdm(placed, desc="one by one"):
            waveforms = Padded.stack([read_audio(utterance.audio)])
            nbest = recognizer.decoder(recognizer.pipeline.emissions(waveforms))
            heard.append((nbest[0][0], begins))
    return heard


def measured(
    recognizer: Recognizer, placed: list[tuple[Utterance, float]], whole: Hypothesis, alone: Alone
) -> dict[str, Any]:
    """Errors and shifts."""
    references = [recognizer.text_encoder.normalize(u.text or "") for u, _ in placed]
    ours, theirs = CorpusScore(), CorpusScore()
    ours.add(" ".join(references), whole.text)
    for reference, (hypothesis, _) in zip(references, alone, strict=False):
        theirs.add(reference, hypothesis.text)
    distances = shifts(recognizer, whole, alone)
    found = {
        "ours": round(100 * ours.wer, 3),
        "theirs": round(100 * theirs.wer, 3) if alone else float("nan"),
        "words": len(whole.text.split()),
        "words_alone": sum(len(hypothesis.text.split()) for hypothesis, _ in alone),
        "matched": len(distances),
    }
    beyond = np.array(outside(recognizer, placed, whole))
    found["right"] = len(beyond)
    found["right_within_0.1_s_of_their_utterance"] = int((beyond <= 0.1).sum())
    found["furthest_outside"] = round(float(beyond.max(initial=0.0)), 3)
    for share in (50, 95, 99) if distances else ():
        found[f"shift_{share}"] = round(float(np.percentile(distances, share)), 4)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with LibriSpeech/PART")
    parser.add_argument("--part", nargs="+", default=["test-clean-35m", "dev-clean-70m"])
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--hours", type=float, default=1.0, help="(default: %(default)s)")
    parser.add_argument("--silence", type=float, default=0.0, help="s between utterances")
    parser.add_argument("--segment", type=float, nargs="+", default=[MAX_SEGMENT], help="s")
    parser.add_argument("--cutter", nargs="+", default=["energy"], choices=CUTTERS)
    parser.add_argument("--greedy", action="store_true", help="not the checkpoint's own decoder")
    parser.add_argument("--whole-only", action="store_true", help="for the memory of the whole")
    options = parser.parse_args()
    decoder = GreedyDecoder if options.greedy else None
    recognizer = Recognizer.from_checkpoint(options.checkpoint, device="cpu", decoder=decoder)
    step = round(recognizer.seconds_per_frame * RATE)
    speech = (options.data / "LibriSpeech").resolve()
    corpus = LibriSpeechCorpus(options.part, speech, download=False)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hour.wav"
        placed = join(corpus, path, options.hours, options.silence)
        start = time.perf_counter()
        alone = [] if options.whole_only else one_by_one(recognizer, placed)
        alone_took = time.perf_counter() - start
        for cutter, segment in product(options.cutter, options.segment):
            start = time.perf_counter()
            whole = hear(recognizer, path, spans_of(path, cutter, segment, step))
            took = time.perf_counter() - start
            figures = measured(recognizer, placed, whole, alone)
            print(
                report(
                    "long_audio",
                    ours=figures.pop("ours"),
                    theirs=figures.pop("theirs"),
                    unit="% WER",
                    higher_is_better=False,
                    against="the same utterances one by one",
                    hours=round(soundfile.info(path).duration / 3600, 3),
                    decoder=recognizer.decoder.name,
                    silence=options.silence,
                    segment=segment,
                    cutter=cutter,
                    **figures,
                    peak_memory_gib=round(
                        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 3
                    ),
                    seconds=round(took, 1),
                    seconds_alone=round(alone_took, 1),
                ),
                flush=True,
            )


if __name__ == "__main__":
    main()
