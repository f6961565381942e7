"""What ``calc_wer_cer.py`` does and says."""

from __future__ import annotations

import json
from pathlib import Path

from src.errors import ConfigError
from src.metrics.edits import EditCounts
from src.metrics.predictions import MISSING, Predictions, read_objects, read_text_folders
from src.metrics.score import CorpusScore
from src.paths import resolve
from src.text.normalization import Normalizer

_NAMED = 5


def read(dir_path: str | None, pred_dir: str | None, gt_dir: str | None) -> Predictions:
    """Read from whichever of the two ways was asked for; paths as :func:`locate` finds them.

    Raises:
        ConfigError: neither, both or half of them.
        ManifestError: see :mod:`src.metrics.predictions`.
    """
    if dir_path and not (pred_dir or gt_dir):
        return read_objects(locate(dir_path))
    if pred_dir and gt_dir and not dir_path:
        return read_text_folders(locate(pred_dir), locate(gt_dir))
    raise ConfigError("either --dir_path or both --pred_dir and --gt_dir must be given")


def locate(path: str) -> Path:
    """``path`` from the working directory if it exists there, else from the repository's root."""
    here = Path(path).expanduser()
    return here if here.exists() else resolve(path)


def score(predictions: Predictions, normalize: bool = True) -> CorpusScore:
    """The score of what was read, with both sides normalised alike."""
    if not normalize:
        return CorpusScore.from_pairs(predictions.pairs)
    normalizer = Normalizer()
    return CorpusScore.from_pairs(
        (normalizer(reference), normalizer(hypothesis))
        for reference, hypothesis in predictions.pairs
    )


def as_json(result: CorpusScore, predictions: Predictions) -> str:
    """One JSON object; rates are fractions, edits are those of words."""
    words = result.words
    return json.dumps(
        {
            "wer": result.wer,
            "cer": result.cer,
            "substitutions": words.substitutions,
            "deletions": words.deletions,
            "insertions": words.insertions,
            "reference_words": words.reference,
            "reference_characters": result.characters.reference,
            "utterances": result.utterances,
            "mean_utterance_wer": result.mean_utterance_wer,
            "mean_utterance_cer": result.mean_utterance_cer,
            "skipped": sum(map(len, predictions.skipped.values())),
            "missing": len(predictions.missing),
        }
    )


def as_text(result: CorpusScore) -> str:
    """Lines for people; rates in percent."""

    def line(name: str, counts: EditCounts, unit: str) -> str:
        return (
            f"{name}: {100 * counts.rate:.2f} %  ({counts.substitutions} substitutions, "
            f"{counts.deletions} deletions, {counts.insertions} insertions "
            f"in {counts.reference} {unit})"
        )

    return "\n".join(
        [
            f"Utterances: {result.utterances}",
            f"Mean over utterances: WER {100 * result.mean_utterance_wer:.2f} %, "
            f"CER {100 * result.mean_utterance_cer:.2f} %",
            line("WER", result.words, "words"),
            line("CER", result.characters, "characters"),
        ]
    )


def warnings(predictions: Predictions) -> list[str]:
    """A line for every reason for which utterances were skipped or scored as empty."""
    groups = predictions.skipped | {MISSING: predictions.missing}
    return [
        f"{len(names)} {reason}: {', '.join(names[:_NAMED])}"
        + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
        for reason, names in groups.items()
        if names
    ]
