"""Transcription on a CPU: ours alone, in batches and in int8, and PocketSphinx on the same files.

Speeds are told twice: of the clock, which other programs slow down, and of the processor, in
seconds of sound for each second that a core works (with --threads 1, or waiting counts as work).

python -m benchmarks.inference --data DATA --part test-clean-35m --checkpoint MODEL
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from tqdm import tqdm

from benchmarks.report import report
from deepspeech2.audio.reading import read_audio
from deepspeech2.datasets import LibriSpeechCorpus
from deepspeech2.decoding import Decoder, GreedyDecoder
from deepspeech2.hardware import cpus
from deepspeech2.inference import Recognizer
from deepspeech2.metrics import CorpusScore
from deepspeech2.pipeline import Pipeline
from deepspeech2.text import TextEncoder
from deepspeech2.types import Padded


class Took(NamedTuple):
    """Seconds of the clock, and seconds that cores worked."""

    clock: float
    cores: float


THEIRS = "PocketSphinx"
BATCH = 240.0  # seconds of padded sound that are heard together
Heard = tuple[list[str], Took, dict[str, float]]  # texts, seconds, seconds of each stage


def in_batches(waveforms: Sequence[Tensor], rate: int) -> list[list[int]]:
    """Places of waveforms of like length, so many together as ``BATCH`` allows."""
    order = sorted(range(len(waveforms)), key=lambda place: -len(waveforms[place]))
    batches: list[list[int]] = []
    for place in order:
        full = not batches or len(waveforms[batches[-1][0]]) * (len(batches[-1]) + 1) > BATCH * rate
        if full:
            batches.append([])
        batches[-1].append(place)
    return batches


def ours(
    pipeline: Pipeline, decoder: Decoder, waveforms: Sequence[Tensor], batches: list[list[int]]
) -> Heard:
    """Every waveform once, batch by batch, and where the time went."""
    texts = [""] * len(waveforms)
    stages = dict.fromkeys(("features", "network", "decoding"), 0.0)
    begin, worked = time.perf_counter(), time.process_time()
    with torch.inference_mode():
        for batch in batches:
            start = time.perf_counter()
            features = pipeline.front_end(Padded.stack([waveforms[place] for place in batch]))
            heard = time.perf_counter()
            log_probs = pipeline.network(features)
            known = time.perf_counter()
            for place, nbest in zip(batch, decoder(log_probs), strict=True):
                texts[place] = nbest[0].text
            end = time.perf_counter()
            for name, seconds in zip(
                stages, (heard - start, known - heard, end - known), strict=True
            ):
                stages[name] += seconds
    return texts, Took(time.perf_counter() - begin, time.process_time() - worked), stages


def int8(pipeline: Pipeline) -> Pipeline:
    """Weights of the recurrent and linear layers in 8 bits, activations as they come."""
    copy = deepcopy(pipeline)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.ao is on its way to another package
        copy.network = torch.ao.quantization.quantize_dynamic(  # type: ignore[no-untyped-call]
            copy.network, {nn.GRU, nn.Linear}, torch.qint8
        )
    return copy


def sphinx(waveforms: Sequence[bytes]) -> tuple[list[str], float]:
    """What PocketSphinx hears with its own model of English, and seconds that its core worked."""
    import pocketsphinx

    decoder = pocketsphinx.Decoder(samprate=16000, loglevel="FATAL")
    texts = []
    worked = time.process_time()
    for data in waveforms:
        decoder.start_utt()
        decoder.process_raw(data, full_utt=True)
        decoder.end_utt()
        found = decoder.hyp()
        texts.append(found.hypstr if found else "")
    return texts, time.process_time() - worked


def sphinx_on_all_cores(waveforms: Sequence[Tensor]) -> tuple[list[str], Took]:
    """Texts, and seconds with a process for each core; its start is not counted."""
    data = [(each * 32767).to(torch.int16).numpy().tobytes() for each in waveforms]
    cores = cpus()
    with ProcessPoolExecutor(cores) as pool:
        list(pool.map(sphinx, [data[:1]] * cores))  # loads the model
        start = time.perf_counter()
        shares = [data[first::cores] for first in range(cores)]
        found = list(tqdm(pool.map(sphinx, shares), total=cores, desc="PocketSphinx"))
        took = time.perf_counter() - start
    texts = [""] * len(data)
    for first, (share, _) in enumerate(found):
        texts[first::cores] = share
    return texts, Took(took, sum(worked for _, worked in found))


def wer(encoder: TextEncoder, references: Sequence[str], texts: Sequence[str]) -> float:
    """In percent."""
    score = CorpusScore()
    for reference, text in zip(references, texts, strict=True):
        score.add(encoder.normalize(reference), encoder.normalize(text))
    return round(100 * score.wer, 2)


def speed(took: Took, theirs: Took, seconds: float) -> dict[str, float]:
    """What came of ``seconds`` of sound, by the clock and by the cores' work."""
    return {
        "x real time": round(seconds / took.clock, 1),
        f"of {THEIRS}": round(theirs.clock / took.clock, 1),
        "seconds a core's second": round(seconds / took.cores, 1),
        f"of {THEIRS}, a core": round(theirs.cores / took.cores, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with LibriSpeech/PART")
    parser.add_argument("--part", default="test-clean-35m", help="(default: %(default)s)")
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--utterances", type=int, default=80, help="(default: %(default)s)")
    parser.add_argument("--threads", type=int, help="of ours (default: one a core)")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    recognizer = Recognizer.from_checkpoint(options.checkpoint, device="cpu")
    encoder, pipeline, rate = recognizer.text_encoder, recognizer.pipeline, recognizer.sample_rate
    folder = (options.data / "LibriSpeech").resolve()
    corpus = list(LibriSpeechCorpus(options.part, folder, download=False))
    corpus = corpus[:: max(1, len(corpus) // options.utterances)][: options.utterances]
    waveforms = [read_audio(each.audio) for each in corpus]
    references = [each.text or "" for each in corpus]
    seconds = sum(map(len, waveforms)) / rate
    one, many = [[place] for place in range(len(corpus))], in_batches(waveforms, rate)
    greedy: Decoder = GreedyDecoder(encoder)
    runs: dict[str, Callable[[], Heard]] = {
        "alone, greedy": lambda: ours(pipeline, greedy, waveforms, one),
        "batched, greedy": lambda: ours(pipeline, greedy, waveforms, many),
        "alone, greedy, int8": lambda: ours(int8(pipeline), greedy, waveforms, one),
        "batched, greedy, int8": lambda: ours(int8(pipeline), greedy, waveforms, many),
    }
    if recognizer.decoder.name != greedy.name:
        name = recognizer.decoder.name
        runs[f"alone, {name}"] = lambda: ours(pipeline, recognizer.decoder, waveforms, one)
        runs[f"batched, {name}"] = lambda: ours(pipeline, recognizer.decoder, waveforms, many)
    name_of_ours = list(runs)[-1]
    for decoder in (greedy, recognizer.decoder):
        ours(pipeline, decoder, waveforms, many[:1])  # compiles, once
    measured = {name: run() for name, run in tqdm(runs.items(), desc="ours")}
    their_texts, their_took = sphinx_on_all_cores(waveforms)
    theirs: Heard = (their_texts, their_took, {})
    rows = {
        name: speed(heard[1], their_took, seconds)
        | {"WER in %": wer(encoder, references, heard[0])}
        for name, heard in {**measured, THEIRS: theirs}.items()
    }
    stages = {
        name: {stage: round(each / took.clock, 3) for stage, each in parts.items()}
        for name, (_, took, parts) in measured.items()
    }
    print(
        report(
            "inference",
            ours=rows[name_of_ours]["x real time"],
            theirs=rows[THEIRS]["x real time"],
            unit="x real time",
            packages=("torch", "pocketsphinx"),
            against=f"{THEIRS}, its own English model, a process for each core",
            variant=name_of_ours,
            utterances=len(corpus),
            audio_seconds=round(seconds, 1),
            speed=rows,
            share_of_the_time=stages,
        )
    )


if __name__ == "__main__":
    main()
