"""Our search with a language model against flashlight-text with KenLM: WER and utterances a second.

The same ARPA file, lexicon (the model's words) and emissions; weights are tuned for each on every
fourth utterance, with the same grid and beam. One thread each.
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from benchmarks.decoding import real_emissions
from benchmarks.flashlight import FlashlightWords
from benchmarks.peers import Decode
from benchmarks.report import report
from deepspeech2.decoding import LanguageModelDecoder
from deepspeech2.metrics import CorpusScore
from deepspeech2.paths import ROOT
from deepspeech2.text import TextEncoder
from deepspeech2.types import Padded

WEIGHTS, WORD_SCORES = (0.3, 0.5, 0.7, 0.9), (-1.0, 0.0, 1.0, 2.0)
TUNING_BEAM = 30

Make = Callable[[float, float, int], Decode]
"""Makes a decoder of a weight, a word score and a beam size."""


def decode(
    decoder: Decode, log_probs: Sequence[Tensor], references: Sequence[str]
) -> tuple[float, float]:
    """WER in percent, and seconds."""
    score, seconds = CorpusScore(), 0.0
    for start in range(0, len(log_probs), 32):
        before = time.perf_counter()
        texts = decoder(log_probs[start : start + 32])
        seconds += time.perf_counter() - before
        for reference, text in zip(references[start:], texts, strict=False):
            score.add(reference, text)
    return 100 * score.wer, seconds


def tuned(make: Make, log_probs: Sequence[Tensor], references: Sequence[str]) -> tuple[float, ...]:
    """The best weight and word score."""
    grid = list(itertools.product(WEIGHTS, WORD_SCORES))
    wers = {
        point: decode(make(*point, TUNING_BEAM), log_probs, references)[0]
        for point in tqdm(grid, desc="tuning", leave=False)
    }
    return min(wers, key=wers.__getitem__)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    default = ROOT / os.environ.get("SPEECH_DATA", "../shared/data")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--lm", required=True, help="ARPA file")
    parser.add_argument("--data", type=Path, default=default, help="folder with LibriSpeech/")
    parser.add_argument("--part", default="dev-clean-70m")
    parser.add_argument("--beams", type=int, nargs="+", default=[30, 100])
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    log_probs, references = real_emissions(
        chosen.checkpoint.absolute(), chosen.data.absolute(), chosen.part
    )
    encoder = TextEncoder()
    lm = Path(chosen.lm).absolute()
    decoder = LanguageModelDecoder(encoder, lm=str(lm), unknown_score=None)

    def ours(weight: float, word: float, beam: int) -> Decode:
        weighed = decoder.reweighed(
            lm_weight=weight,
            word_score=word,
            unknown_score=None,
            prior_weight=0.0,
            beam_size=beam,
            nbest=1,
        )
        return lambda batch: [best.text for [best] in weighed(Padded.stack(list(batch)))]

    makers: dict[str, Make] = {
        "ours": ours,
        "flashlight": FlashlightWords(encoder, lm).weighed,
    }
    rows: dict[str, dict[str, float]] = {}
    for name, make in makers.items():
        weight, word = tuned(make, log_probs[::4], references[::4])
        decode(make(weight, word, 2), log_probs[:2], references[:2])
        for beam in chosen.beams:
            wer, seconds = decode(make(weight, word, beam), log_probs, references)
            row = {
                "wer": round(wer, 2),
                "utterances_per_second": round(len(log_probs) / seconds, 2),
                "lm_weight": weight,
                "word_score": word,
            }
            rows[f"{name}, beam {beam}"] = row
            print(f"{name:12s} beam {beam:4d}  {row}", flush=True)
    last = chosen.beams[-1]
    print(
        report(
            "language_model",
            ours=rows[f"ours, beam {last}"]["utterances_per_second"],
            theirs=rows[f"flashlight, beam {last}"]["utterances_per_second"],
            unit="utterances/s",
            packages=("torch", "numba", "flashlight-text"),
            against="flashlight-text with KenLM",
            lm=lm.name,
            utterances=len(log_probs),
            all=rows,
        )
    )


if __name__ == "__main__":
    main()
