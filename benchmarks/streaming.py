"""Streams against whole files: the same frames and texts, speed, and how long one waits.

python -m benchmarks.streaming --data DATA --checkpoint MODEL [--against OTHER]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from benchmarks.report import report
from deepspeech2.audio.reading import read_audio
from deepspeech2.datasets import LibriSpeechCorpus
from deepspeech2.inference import Recognizer, StreamingRecognizer

CHUNKS = ("20", "100", "500", "random")  # ms


def sizes(chunk: str, draw: np.random.Generator, rate: int) -> Iterator[int]:
    """Samples of one chunk after the other; random ones last from nothing to a second."""
    while True:
        yield int(draw.integers(0, rate)) if chunk == "random" else int(chunk) * rate // 1000


def stream(
    recognizer: StreamingRecognizer, waveform: Tensor, lengths: Iterator[int]
) -> tuple[Tensor, str, list[float]]:
    """Log-probabilities, transcript, and the seconds that each chunk took."""
    state, waits, first = recognizer.start(), [], 0
    while first < len(waveform):
        length = next(lengths)
        start = time.perf_counter()
        state = recognizer.hear(state, waveform[first : first + length])
        waits.append(time.perf_counter() - start)
        first += length
    start = time.perf_counter()
    text = recognizer.finish(state).text
    waits.append(time.perf_counter() - start)
    return recognizer.emissions(state), text, waits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with LibriSpeech/PART")
    parser.add_argument("--part", default="test-clean-35m", help="(default: %(default)s)")
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--against", help="hears whole files (default: the same checkpoint)")
    parser.add_argument("--utterances", type=int, default=100, help="(default: %(default)s)")
    parser.add_argument("--threads", type=int, help="(default: one a core)")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    recognizer = StreamingRecognizer.from_checkpoint(options.checkpoint, device="cpu")
    speech = (options.data / "LibriSpeech").resolve()
    corpus = LibriSpeechCorpus(options.part, speech, download=False)
    waveforms = [read_audio(each.audio) for each in list(corpus)[: options.utterances]]
    seconds = sum(map(len, waveforms)) / recognizer.sample_rate
    whole = Recognizer.from_checkpoint(options.against or options.checkpoint, device="cpu")
    whole.transcribe(waveforms[0].numpy())  # compiles, once
    start = time.perf_counter()
    texts = [whole.transcribe(each.numpy()).text for each in waveforms]
    whole_took = time.perf_counter() - start
    frames = [whole.emissions(each).data[0] for each in waveforms]
    for chunk in CHUNKS:
        lengths = sizes(chunk, np.random.default_rng(0), recognizer.sample_rate)
        found = [stream(recognizer, each, lengths) for each in tqdm(waveforms, desc=chunk)]
        waits = np.concatenate([waits for *_, waits in found])
        differing = [
            int((ours.argmax(1) != theirs.argmax(1)).sum())
            for (ours, *_), theirs in zip(found, frames, strict=True)
        ]
        furthest = max(
            float((ours - theirs).abs().max())
            for (ours, *_), theirs in zip(found, frames, strict=True)
        )
        print(
            report(
                "streaming",
                ours=round(seconds / float(waits.sum()), 2),
                theirs=round(seconds / whole_took, 2),
                unit="x real time",
                chunk_ms=chunk,
                utterances=len(waveforms),
                seconds=round(seconds, 1),
                differing_frames=sum(differing),
                frames=sum(map(len, frames)),
                differing_texts=sum(
                    text != theirs for (_, text, _), theirs in zip(found, texts, strict=True)
                ),
                largest_difference=furthest,
                latency_ms=round(1000 * recognizer.latency, 1),
                chunk_took_ms={
                    str(share): round(1000 * float(np.percentile(waits, share)), 2)
                    for share in (50, 95, 100)
                },
                threads=torch.get_num_threads(),
                decoder=recognizer.recognizer.decoder.name,
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
