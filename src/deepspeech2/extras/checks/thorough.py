"""The doctor's thorough checks: splits that are missing, and every recording of a corpus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from deepspeech2.datasets.corpus import Corpus
from deepspeech2.datasets.download import SPLITS
from deepspeech2.datasets.librispeech import GROUPS, SUBSETS, find_part
from deepspeech2.datasets.mixed import apart
from deepspeech2.errors import ManifestError
from deepspeech2.extras.checks.audio_check import check_recordings, judge_recordings
from deepspeech2.extras.checks.corpus_check import (
    judge_contents,
    judge_overlaps,
    judge_repetitions,
    judge_size,
    judge_transcripts,
)
from deepspeech2.extras.checks.environment import Demand
from deepspeech2.extras.checks.finding import Finding
from deepspeech2.pipeline import Pipeline
from deepspeech2.text import Tokenizer


def present_and_missing(part: str | Sequence[str], root: Path) -> tuple[list[str], list[str]]:
    """The parts that are below ``root`` or no known split, and the splits to be downloaded.

    Raises:
        ConfigError: a part leads out of ``root``.
    """
    names = [part] if isinstance(part, str) else part
    present, missing = [], []
    for split in (split for name in names for split in GROUPS.get(name, (name,))):
        if split in SPLITS or split in SUBSETS:
            try:
                find_part(split, root, download=False)
            except ManifestError:
                missing.append(SUBSETS.get(split, split))
                continue
        present.append(split)
    return present, list(dict.fromkeys(missing))


def judge_missing(area: str, missing: Sequence[str], root: Path) -> tuple[Finding, Demand]:
    """What training would download, and the room for the archives and for what is in them."""
    size = sum(SPLITS[split].size for split in missing)
    names = ", ".join(missing)
    found = f"{names} not in {root}, so training downloads {size / 1e9:.1f} GB first"
    remedy = "Set data_dir to where they are, or let training download them."
    demand = Demand(f"the download of {names}", root, 2 * size, "set data_dir to another disk")
    return Finding("warning", f"{area}: presence", found, remedy), demand


def check_corpora(
    corpora: Mapping[str, Corpus], text_encoder: Tokenizer | None, pipeline: Pipeline | None
) -> list[Finding]:
    """Check sizes, transcripts and duplicates, and read every recording.

    Args:
        corpora: by the names that they have in ``datasets``.
        text_encoder, pipeline: of training; without them transcripts are not checked.
    """
    findings = []
    separate = apart(corpora)
    for name, corpus in separate.items():
        area = f"datasets.{name}"
        findings += judge_size(area, corpus)
        if text_encoder and pipeline and len(corpus):
            frames, sample_rate = pipeline.output_frames, pipeline.front_end.sample_rate
            findings += judge_transcripts(area, corpus, text_encoder, frames, sample_rate)
        findings.append(judge_repetitions(area, corpus))
    findings += judge_overlaps(corpora)
    checked = {}
    for name, corpus in separate.items():
        if len(corpus):
            checked[name] = check_recordings(corpus.utterances, description=f"listening to {name}")
            findings += judge_recordings(f"datasets.{name}", checked[name])
    return findings + (judge_contents(checked) if checked else [])
