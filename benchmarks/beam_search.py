"""Frames per second of the prefix beam search, one thread, a batch of 32 utterances.

Theirs is fast-ctc-decode or pyctcdecode where one is installed, otherwise a straightforward
per-utterance search in Python.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable

import torch

from benchmarks.dict_beam_search import prefix_beam_search
from benchmarks.report import report
from src.decoding import BeamSearchDecoder, GreedyDecoder
from src.seeding import generator
from src.text import TextEncoder
from src.types import Padded

BATCH, SECONDS, FRAME_RATE, BEAM_SIZE = 32, 12, 50, 10
REPEATS = 3


def posteriors(n_tokens: int, *, seed: int = 0) -> Padded:
    """Synthetic log-probabilities like a trained network's: mostly blank, with short peaks."""
    random = generator("cpu", seed, "posteriors")
    shape = (BATCH, SECONDS * FRAME_RATE, n_tokens)
    logits = torch.randn(shape, generator=random)
    logits[..., 0] += 9.0
    peaks = torch.rand(shape[:2], generator=random) < 0.3
    spoken = torch.randint(1, n_tokens, shape[:2], generator=random)
    logits.scatter_add_(2, spoken[..., None], (12.0 * peaks)[..., None])
    lengths = torch.randint(shape[1] // 2, shape[1] + 1, (BATCH,), generator=random)
    return Padded(logits.log_softmax(-1), lengths)


def fastest(work: Callable[[], object]) -> float:
    """Seconds of the fastest of some runs."""
    durations = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        durations.append(time.perf_counter() - start)
    return min(durations)


def other_decoder(encoder: TextEncoder) -> tuple[str, Callable[[torch.Tensor], object], int]:
    """Name, how it decodes one utterance (T, V), and how many utterances to time it on."""
    if importlib.util.find_spec("fast_ctc_decode"):
        import fast_ctc_decode

        alphabet = "_" + encoder.alphabet
        return (
            "fast-ctc-decode",
            lambda frames: fast_ctc_decode.beam_search(
                frames.exp().numpy(), alphabet, beam_size=BEAM_SIZE, beam_cut_threshold=0.0
            ),
            BATCH,
        )
    if importlib.util.find_spec("pyctcdecode"):
        import pyctcdecode

        decoder = pyctcdecode.build_ctcdecoder(["", *encoder.alphabet])
        return (
            "pyctcdecode",
            lambda frames: decoder.decode(frames.numpy(), beam_width=BEAM_SIZE),
            BATCH,
        )
    return "dictionary", lambda frames: prefix_beam_search(frames.tolist(), BEAM_SIZE), 2


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    encoder = TextEncoder()
    batch = posteriors(encoder.n_tokens)
    frames = int(batch.lengths.sum())
    beam, greedy = BeamSearchDecoder(encoder, beam_size=BEAM_SIZE), GreedyDecoder(encoder)
    ours = frames / fastest(lambda: beam(batch))
    argmax = frames / fastest(lambda: greedy(batch))
    pruning = BeamSearchDecoder(encoder, beam_size=BEAM_SIZE, blank_threshold=0.95)
    pruned = frames / fastest(lambda: pruning(batch))
    name, decode, count = other_decoder(encoder)
    utterances = batch.unpad()[:count]
    theirs = sum(map(len, utterances)) / fastest(lambda: [decode(each) for each in utterances])
    print(f"beam search {ours:,.0f}, with blank_threshold=0.95 {pruned:,.0f} frames/s")
    print(f"greedy {argmax:,.0f}, {name} {theirs:,.0f} frames/s")
    print(
        report(
            "beam_search",
            ours=round(ours),
            theirs=round(theirs),
            unit="frames/s",
            against=name,
            beam_size=BEAM_SIZE,
            batch_size=BATCH,
        )
    )


if __name__ == "__main__":
    main()
