"""How many planted errors are among the most suspicious transcripts of a corpus.

python -m benchmarks.suspects --data DATA --checkpoint MODEL --corpus librispeech:dev-clean-70m
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.report import report
from deepspeech2.config.loaders import open_loader
from deepspeech2.datasets import LibriSpeechCorpus, ManifestCorpus
from deepspeech2.datasets.corpus import nested_hours
from deepspeech2.decoding import GreedyDecoder
from deepspeech2.extras.suspects.evidence import Evidence, evidence
from deepspeech2.extras.suspects.listing import emissions
from deepspeech2.inference import Recognizer
from deepspeech2.settings import DataloaderSettings
from deepspeech2.tables import text_table
from deepspeech2.types import Failure, Utterance

KINDS = ("another's", "half", "words added", "words changed", "shifted")
SCORES: dict[str, Callable[[Evidence], float]] = {
    "suspicion": lambda found: found.suspicion,
    "worse than the best path": lambda found: found.worse,
    "CTC loss": lambda found: found.ctc,
    "CER": lambda found: found.cer,
}


def plant(texts: Sequence[str], share: float, seed: int) -> tuple[list[str], list[str | None]]:
    """Put errors into a share of transcripts; returns all, and the kind of error of each.

    Kinds take turns: the transcript of another utterance; one half of it; 2 to 4 words of the
    corpus added in one place; 2 or 3 words changed; and the first or last word lost, with a word
    of the corpus at the other end, as if the recording had been cut a word too late or too early.
    """
    draw = np.random.default_rng(seed)
    vocabulary = [word for text in texts for word in text.split()]
    planted, kinds = list(texts), [None] * len(texts)  # type: list[str], list[str | None]
    chosen = draw.choice(len(texts), round(share * len(texts)), replace=False).tolist()
    for number, place in enumerate(chosen):
        kind, words = KINDS[number % len(KINDS)], texts[place].split()
        some = [vocabulary[i] for i in draw.integers(len(vocabulary), size=4)]
        first, at = bool(draw.integers(2)), int(draw.integers(len(words) + 1))
        if kind == "another's":
            wrong = texts[int(draw.integers(len(texts)))].split()
        elif kind == "half":
            middle = max(1, len(words) // 2)
            wrong = words[:middle] if first else words[-middle:]
        elif kind == "words added":
            wrong = words[:at] + some[: int(draw.integers(2, 5))] + words[at:]
        elif kind == "words changed":
            wrong = list(words)
            count = min(len(words), int(draw.integers(2, 4)))
            for i, word in zip(draw.choice(len(words), count, replace=False), some, strict=False):
                wrong[i] = word
        else:
            wrong = [*words[1:], some[0]] if first else [some[0], *words[:-1]]
        if wrong != words:
            planted[place], kinds[place] = " ".join(wrong), kind
    return planted, kinds


def found_among(
    scores: npt.NDArray[np.float64], kinds: Sequence[str | None], share: float
) -> dict[str, float]:
    """Precision and recall, in all and of each kind, of the share with the highest scores."""
    first = np.argsort(-scores, kind="stable")[: round(share * len(scores))].tolist()
    named = [kinds[place] for place in first]
    n_wrong = sum(kind is not None for kind in named)
    result = {"precision": n_wrong / max(1, len(first))}
    result["recall"] = n_wrong / max(1, len(kinds) - list(kinds).count(None))
    return result | {kind: named.count(kind) / max(1, list(kinds).count(kind)) for kind in KINDS}


def hear(
    recognizer: Recognizer, utterances: Sequence[Utterance]
) -> list[tuple[Utterance, torch.Tensor]]:
    """Each utterance with its log-probabilities, in the order of their ids."""
    settings = DataloaderSettings(max_batch_duration=120, num_workers=0)
    rate = recognizer.sample_rate
    loader = open_loader(settings, utterances, lambda text: [], rate, shuffle=False)
    heard = [
        each for each in emissions(recognizer, loader, "speech") if not isinstance(each, Failure)
    ]
    return sorted(heard, key=lambda pair: pair[0].id)


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    recognizer = Recognizer.from_checkpoint(options.checkpoint, device="cpu", decoder=GreedyDecoder)
    heard = hear(recognizer, _chosen(options))
    encoder, step = recognizer.text_encoder, recognizer.seconds_per_frame

    def judge(place: int, text: str) -> Evidence:
        return evidence(heard[place][1], text, text_encoder=encoder, seconds_per_frame=step)

    texts = [utterance.text or "" for utterance, _ in heard]
    right = [judge(place, text) for place, text in enumerate(texts)]
    runs = []
    for seed in options.seeds:
        planted, kinds = plant(texts, options.share, seed)
        judged = [
            each if wrong is None else judge(place, planted[place])
            for place, (each, wrong) in enumerate(zip(right, kinds, strict=True))
        ]
        runs.append((judged, kinds))
    figures = _figures(runs)
    print(
        report(
            "suspects",
            ours=figures["suspicion, first 10%"]["recall"],
            theirs=figures["CTC loss, first 10%"]["recall"],
            unit="recall of the first tenth, ours against the CTC loss alone",
            corpus=options.corpus,
            utterances=len(heard),
            hours=round(sum(each.duration for each, _ in heard) / 3600, 3),
            seeds=options.seeds,
            figures=figures,
        )
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with LibriSpeech/PART")
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--corpus", required=True, help="librispeech:PART, or a manifest in data")
    parser.add_argument("--hours", type=float, help="of it (default: all)")
    parser.add_argument("--limit", type=int, help="the first utterances (default: all)")
    parser.add_argument("--half", type=int, choices=(0, 1), help="every second utterance")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1], help="of the errors")
    parser.add_argument("--share", type=float, default=0.05, help="of transcripts with errors")
    return parser.parse_args()


def _chosen(options: argparse.Namespace) -> tuple[Utterance, ...]:
    """The utterances that are listened to."""
    kind, _, part = options.corpus.partition(":")
    corpus = (
        LibriSpeechCorpus(part, (options.data / "LibriSpeech").resolve(), download=False)
        if kind == "librispeech"
        else ManifestCorpus(options.corpus, options.data.resolve())
    )
    chosen = corpus.utterances[: options.limit]
    if options.hours:
        chosen = nested_hours(chosen, options.hours)
    if options.half is not None:
        chosen = tuple(sorted(chosen, key=lambda each: each.id)[options.half :: 2])
    return tuple(chosen)


def _figures(
    runs: Sequence[tuple[Sequence[Evidence], Sequence[str | None]]],
) -> dict[str, dict[str, float]]:
    """Print and return the means over ``runs``, by score and share that is listed."""
    lines, figures = [], {}
    for name, score in SCORES.items():
        for share in (0.05, 0.1):
            each = [
                found_among(np.array([score(one) for one in judged]), kinds, share)
                for judged, kinds in runs
            ]
            mean = {key: float(np.mean([one[key] for one in each])) for key in each[0]}
            figures[f"{name}, first {share:.0%}"] = {k: round(v, 4) for k, v in mean.items()}
            lines.append([name, f"{share:.0%}", *(f"{100 * value:.0f}" for value in mean.values())])
    print(text_table(["%", "first", "precision", "recall", *KINDS], lines, n_left=1))
    return figures


if __name__ == "__main__":
    main()
