"""Frames per second and WER of beam searches without a language model.

Ours against flashlight-text, fast-ctc-decode and pyctcdecode (see benchmarks/peers.py), where they
are installed: `pip install flashlight-text fast-ctc-decode pygtrie` and `pip install --no-deps
pyctcdecode`. On synthetic emissions and, given a checkpoint, on those of real speech; one thread of
each, and all cores. Ours makes frames and confidences as well, the others only texts.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.peers import Decode, available, over_processes
from benchmarks.report import report
from deepspeech2.decoding import BeamSearchDecoder, GreedyDecoder
from deepspeech2.hardware import cpus
from deepspeech2.metrics import CorpusScore
from deepspeech2.paths import ROOT
from deepspeech2.seeding import generator
from deepspeech2.text import TextEncoder
from deepspeech2.types import Padded

BATCH, SECONDS, FRAME_RATE = 32, 12, 50
LEAST_SECONDS = 2.0


class Ours:
    """Our decoder behind the same call as the peers.

    Args:
        text_encoder: the alphabet.
        beam_size: beams to keep.
        threads: of the search.
        device: where emissions lie.
        options: of the search.
    """

    def __init__(
        self,
        text_encoder: TextEncoder,
        *,
        beam_size: int,
        threads: int = 1,
        device: str = "cpu",
        **options: Any,
    ) -> None:
        self.device = device
        self.decoder = BeamSearchDecoder(
            text_encoder, beam_size=beam_size, threads=threads, **options
        )

    def __call__(self, log_probs: Sequence[Tensor]) -> list[str]:
        found: list[str] = []
        for start in range(0, len(log_probs), 64):
            batch = Padded.stack(list(log_probs[start : start + 64])).to(self.device)
            found += [hypotheses[0].text for hypotheses in self.decoder(batch)]
        return found


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


def speed(decode: Decode, log_probs: Sequence[Tensor]) -> float:
    """Frames per second of the fastest of some runs; a slow decoder gets fewer utterances."""
    start = time.perf_counter()
    decode(log_probs[:2])
    for count in (4, 16, len(log_probs)):
        chosen = log_probs[:: max(1, len(log_probs) // count)]
        start = time.perf_counter()
        decode(chosen)
        seconds = time.perf_counter() - start
        if seconds > LEAST_SECONDS / 2:
            break
    best, total = seconds, seconds
    while total < LEAST_SECONDS:
        start = time.perf_counter()
        decode(chosen)
        best = min(best, seconds := time.perf_counter() - start)
        total += seconds
    return sum(map(len, chosen)) / best


def real_emissions(checkpoint: Path, data: Path, part: str) -> tuple[list[Tensor], list[str]]:
    """Log-probabilities and references of a part of LibriSpeech."""
    from deepspeech2.config.loaders import open_loader
    from deepspeech2.datasets import LibriSpeechCorpus
    from deepspeech2.extras.tuning import emissions, identity
    from deepspeech2.inference import Recognizer
    from deepspeech2.settings import DataloaderSettings

    recognizer = Recognizer.from_checkpoint(checkpoint, device="cpu", decoder=GreedyDecoder)
    utterances = tuple(LibriSpeechCorpus(part, data / "LibriSpeech").utterances)
    loader = open_loader(
        DataloaderSettings(120, num_workers=0),
        utterances,
        lambda text: [],
        recognizer.sample_rate,
        shuffle=False,
    )
    kept = ROOT / "data" / "emissions" / f"{identity(checkpoint, utterances)}.pt"
    found = emissions(recognizer, loader, kept, title=part)
    return found.log_probs, found.references


def sides(encoder: TextEncoder, beam: int) -> dict[str, Callable[..., Decode]]:
    """Every search, by name; each takes nothing, ours the number of threads."""
    found: dict[str, Callable[..., Decode]] = {
        "ours": partial(Ours, encoder, beam_size=beam),
        "ours, blank_threshold 0.999": partial(
            Ours, encoder, beam_size=beam, blank_threshold=0.999
        ),
        "ours, 5 tokens, blank_threshold 0.95": partial(
            Ours, encoder, beam_size=beam, blank_threshold=0.95, beam_size_token=5
        ),
    }
    if torch.cuda.is_available():
        found["ours, CUDA"] = partial(Ours, encoder, beam_size=beam, device="cuda")
    return found | {
        name: partial(make, encoder, beam_size=beam) for name, make in available().items()
    }


def measure(
    encoder: TextEncoder,
    log_probs: list[Tensor],
    references: list[str] | None,
    beam: int,
    cores: int,
) -> dict[str, dict[str, float | None]]:
    """Frames per second on one thread and on all cores, and WER, of every search."""
    rows: dict[str, dict[str, float | None]] = {}
    for name, make in sides(encoder, beam).items():
        decode = make()
        row: dict[str, float | None] = {"one": round(speed(decode, log_probs)), "all": None}
        if name.startswith("ours") and "CUDA" not in name:
            row["all"] = round(speed(make(threads=cores), log_probs))
        elif not name.startswith("ours"):
            with over_processes(make, cores) as shared:
                row["all"] = round(speed(shared, log_probs))
        if references is not None and row["one"] and row["one"] > 3000:
            pairs = zip(references, decode(log_probs), strict=True)
            row["wer"] = round(100 * CorpusScore.from_pairs(pairs).wer, 2)
        rows[name] = row
        wer = row.get("wer")
        shown = "" if wer is None else f"{wer:7.2f}"
        every = "-" if row["all"] is None else f"{row['all']:,.0f}"
        print(f"  {name:38s}{row['one']:>12,.0f}{every:>12s}{shown}", flush=True)
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    default = ROOT / os.environ.get("SPEECH_DATA", "../shared/data")
    parser.add_argument("--checkpoint", type=Path, help="its emissions are decoded as well")
    parser.add_argument("--data", type=Path, default=default, help="folder with LibriSpeech/")
    parser.add_argument("--part", default="test-clean-35m")
    parser.add_argument("--beams", type=int, nargs="+", default=[10, 100])
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    cores = cpus()
    encoder = TextEncoder()
    sets: dict[str, tuple[list[Tensor], list[str] | None]] = {
        "synthetic": (posteriors(encoder.n_tokens).unpad(), None)
    }
    if chosen.checkpoint:
        sets[chosen.part] = real_emissions(
            chosen.checkpoint.absolute(), chosen.data.absolute(), chosen.part
        )
    results: dict[str, Any] = {}
    for title, (log_probs, references) in sets.items():
        for beam in chosen.beams:
            print(f"{title}, beam {beam}, {sum(map(len, log_probs)):,} frames:")
            print(f"  {'frames/s on':38s}{'1 thread':>12s}{f'{cores} cores':>12s}    WER")
            key = f"{title}, beam {beam}"
            results[key] = measure(encoder, log_probs, references, beam, cores)
    last = results[f"{list(sets)[-1]}, beam {chosen.beams[0]}"]
    theirs = {name: row["one"] for name, row in last.items() if not name.startswith("ours")}
    exact = next((name for name in ("fast-ctc-decode", "flashlight-text") if name in theirs), None)
    if exact is None:
        parser.exit(1, "no peer is installed: pip install -r requirements-lm.txt\n")
    packages = {name.partition(",")[0] for name in theirs}
    print(
        report(
            "decoding",
            ours=last["ours"]["one"],
            theirs=theirs[exact],
            unit="frames/s",
            packages=("torch", "numba", *sorted(packages)),
            against=exact,
            ratio_to_fastest=round(last["ours"]["one"] / max(theirs.values()), 2),
            beam_size=chosen.beams[0],
            cores=cores,
            all=results,
        )
    )


if __name__ == "__main__":
    main()
