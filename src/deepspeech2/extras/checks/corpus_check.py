"""What is wrong with corpora before a recording is read: transcripts, sizes and duplicates."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from deepspeech2.datasets.corpus import Corpus, Exclusion
from deepspeech2.errors import ManifestError
from deepspeech2.escaping import one_line
from deepspeech2.extras.checks.alphabet import OutsideAlphabet, outside_alphabet
from deepspeech2.extras.checks.audio_check import AudioCheck
from deepspeech2.extras.checks.finding import Finding, Severity, few, quantity
from deepspeech2.text import Tokenizer
from deepspeech2.types import Utterance

OutputFrames = Callable[[Tensor], Tensor]
"""Maps numbers of samples (B,) to the fewest frames (B,) of the network."""

TRAIN = "train"
"""The training corpus; every other one is evaluated."""

_ASKED_FOR = re.compile(r"\b(limit|max_\w+_length)=")  # reasons that name a setting

REMEDIES = {
    "transcripts": "Add the transcripts, or drop these recordings from the corpus.",
    "unknown characters": (
        "Correct the transcripts, or set text_encoder.alphabet, remove or to_space to fit them;"
        " text_encoder.spell_out=en makes words of digits."
    ),
    "empty transcripts": "Correct the transcripts, or drop these recordings from the corpus.",
    "alignment": (
        "Look whether the transcripts belong to the recordings, or set a smaller time stride in"
        " model."
    ),
}
"""By the kind of objection: what a user can do."""

UNKNOWN = "unknown characters"
"""The kind of objection to characters outside the alphabet."""


class Objection(NamedTuple):
    """Why CTC cannot learn from an utterance: a key of the remedies, and the sentence."""

    kind: str
    reason: str


class Trainable(NamedTuple):
    """What CTC can learn from, what was left out, and which characters were a reason for that."""

    utterances: tuple[Utterance, ...]
    left_out: tuple[Exclusion, ...]
    outside: OutsideAlphabet | None


def trainable(
    corpus: Corpus,
    text_encoder: Tokenizer,
    output_frames: OutputFrames,
    sample_rate: int,
    name: str | None = None,
) -> Trainable:
    """Separate the utterances that CTC can align from the others.

    Args:
        name: of the corpus in errors; None: its own.

    Raises:
        ManifestError: none is left, or more than half have characters outside the alphabet.
    """
    kept: list[Utterance] = []
    left_out: list[Exclusion] = []
    unknown = False
    for utterance, objection in objections(corpus, text_encoder, output_frames, sample_rate):
        if objection is None:
            kept.append(utterance)
        else:
            unknown |= objection.kind == UNKNOWN
            left_out.append(Exclusion(utterance.id, objection.reason))
    texts = (utterance.text or "" for utterance in corpus)
    outside = outside_alphabet(texts, text_encoder) if unknown else None
    if outside is not None and outside.wrong:
        raise ManifestError(f"{name or corpus.name}: {one_line(str(outside))}")
    if not kept:
        reasons = sorted({exclusion.reason for exclusion in (*corpus.exclusions, *left_out)})
        raise ManifestError(
            f"{name or corpus.name} has no utterance to learn from: {'; '.join(reasons[:3])}"
        )
    return Trainable(tuple(kept), tuple(left_out), outside)


def objections(
    corpus: Corpus, text_encoder: Tokenizer, output_frames: OutputFrames, sample_rate: int
) -> Iterator[tuple[Utterance, Objection | None]]:
    """Each utterance of ``corpus`` with why CTC cannot learn from it, or None."""
    samples = torch.tensor(
        [round(item.duration * sample_rate) for item in corpus], dtype=torch.int64
    )
    frames = output_frames(samples).tolist()
    for utterance, available in zip(corpus, frames, strict=True):
        yield utterance, _objection(utterance, text_encoder, available)


def _objection(utterance: Utterance, text_encoder: Tokenizer, frames: int) -> Objection | None:
    if utterance.text is None:
        return Objection("transcripts", "it has no transcript")
    unknown = text_encoder.unknown(utterance.text)
    if unknown:
        characters = " ".join(map(repr, sorted(unknown)))
        digits = any(character.isdigit() for character in unknown)
        hint = " (text_encoder.spell_out=en makes words of digits)" if digits else ""
        reason = f"its transcript contains {characters}, which the alphabet lacks{hint}"
        return Objection(UNKNOWN, reason)
    labels = text_encoder.encode(utterance.text)
    if not labels:
        return Objection("empty transcripts", "its transcript is empty after normalisation")
    needed = text_encoder.minimum_frames(labels)
    if needed > frames:
        reason = f"its {len(labels)} {text_encoder.unit} need {needed} frames, but it has {frames}"
        return Objection("alignment", reason)
    return None


def report(name: str, exclusions: Sequence[Exclusion]) -> str:
    """One message that names every utterance that was left out, grouped by reason."""
    lines = [f"{one_line(name)}: {len(exclusions)} utterances are left out"]
    for reason, names in _by_reason(exclusions).items():
        lines.append(f"  {one_line(reason)}: {', '.join(map(one_line, names))}")
    return "\n".join(lines)


def _by_reason(exclusions: Sequence[Exclusion]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for exclusion in exclusions:
        names.setdefault(exclusion.reason, []).append(exclusion.name)
    return names


def judge_size(area: str, corpus: Corpus) -> list[Finding]:
    """How much there is, and what the corpus itself left out.

    Args:
        area: the first part of each finding's ``check``, as in ``datasets.train``.
    """
    found = f"{corpus.name}, {quantity(len(corpus), 'utterance')}, {corpus.duration / 3600:.2f} h"
    check = f"{area}: size"
    findings = [Finding("ok", check, found)]
    if not len(corpus):
        findings = [Finding("error", check, found, "Look at the reasons below.")]
    for reason, names in _by_reason(corpus.exclusions).items():
        found = f"{len(names)} left out ({reason}): {few(names)}"
        if _ASKED_FOR.search(reason):
            findings.append(Finding("ok", f"{area}: settings", found))
        else:
            remedy = "Mend these files, or go on without them."
            findings.append(Finding("warning", f"{area}: files", found, remedy))
    return findings


def judge_transcripts(
    area: str,
    corpus: Corpus,
    text_encoder: Tokenizer,
    output_frames: OutputFrames,
    sample_rate: int,
) -> list[Finding]:
    """Unknown characters, empty transcripts, and what CTC cannot align, one finding for each."""
    by_kind: dict[str, list[tuple[Utterance, str]]] = {}
    for utterance, objection in objections(corpus, text_encoder, output_frames, sample_rate):
        if objection is not None:
            by_kind.setdefault(objection.kind, []).append((utterance, objection.reason))
    if not by_kind:
        return [Finding("ok", f"{area}: transcripts", "all can be aligned by CTC")]
    n_left_out = sum(map(len, by_kind.values()))
    findings = []
    for kind, items in by_kind.items():
        severity: Severity = "warning" if n_left_out < len(corpus) else "error"
        reasons, remedy = few(list(dict.fromkeys(reason for _, reason in items))), REMEDIES[kind]
        if kind == UNKNOWN:  # each character counted, in place of a reason for each utterance
            outside = outside_alphabet((item.text or "" for item in corpus), text_encoder)
            assert outside is not None
            reasons, remedy = outside.characters, f"{outside.remedy}."
            severity = "error" if outside.wrong else severity
        names = few([utterance.id for utterance, _ in items])
        text = f"{quantity(len(items), 'utterance')} left out ({reasons}): {names}"
        findings.append(Finding(severity, f"{area}: {kind}", text, remedy))
    return findings


def judge_repetitions(area: str, corpus: Corpus) -> Finding:
    """Whether two utterances of a corpus begin at the same place of the same file."""
    check = f"{area}: repetitions"
    first: dict[tuple[Path, float], str] = {}
    pairs = []
    for utterance in corpus:
        before = first.setdefault((utterance.audio, utterance.offset), utterance.id)
        if before != utterance.id:
            pairs.append(f"{before} = {utterance.id}")
    if not pairs:
        return Finding("ok", check, "every utterance has audio of its own")
    found = f"{quantity(len(pairs), 'utterance')} with the same file and offset as another: "
    remedy = "Keep one line for each utterance in the manifest."
    return Finding("warning", check, found + few(pairs), remedy)


def judge_overlaps(corpora: Mapping[str, Corpus]) -> list[Finding]:
    """Whether what is evaluated is in the training corpus, too.

    By the audio file, or by speaker and transcript: the same words of the same speaker may be
    the same recording under another name.
    """
    others = {name: corpus for name, corpus in corpora.items() if name != TRAIN}
    if TRAIN not in corpora or not others:
        return []
    files = {utterance.audio for corpus in others.values() for utterance in corpus}
    words = {key for corpus in others.values() for item in corpus if (key := _words(item))}
    speakers = {speaker for speaker, _ in words}
    shared_files: set[Path] = set()
    shared_words: set[tuple[str, str]] = set()
    for utterance in corpora[TRAIN]:  # perhaps 281,000: only what matters is normalised
        if utterance.audio in files:
            shared_files.add(utterance.audio)
        if utterance.speaker in speakers and (key := _words(utterance)) in words:
            shared_words.add(key)
    findings = []
    for name, corpus in others.items():
        by_file = [item for item in corpus if item.audio in shared_files]
        rest = [item for item in corpus if item.audio not in shared_files]
        by_words = [item for item in rest if _words(item) in shared_words]
        for by, items in (("audio file", by_file), ("speaker and transcript", by_words)):
            if items:
                ids = few([item.id for item in items])
                found = f"{quantity(len(items), 'utterance')} of {name} in {TRAIN} by {by}: {ids}"
                remedy = f"Leave them out of {TRAIN}, or what {name} measures is partly memory."
                findings.append(Finding("warning", "datasets: overlap", found, remedy))
    return findings or [
        Finding("ok", "datasets: overlap", f"nothing of {', '.join(others)} stands in {TRAIN}")
    ]


def _words(utterance: Utterance) -> tuple[str, str] | None:
    """Speaker and words; None where one of them is unknown."""
    if utterance.speaker is None or not utterance.text:
        return None
    return utterance.speaker, " ".join(utterance.text.casefold().split())


def judge_contents(checked: Mapping[str, Sequence[AudioCheck]]) -> list[Finding]:
    """Whether recordings in different places are equal to the last sample.

    Args:
        checked: what was read, by corpus; silence is alike everywhere and does not count.
    """
    places: set[tuple[Path, float]] = set()
    groups: dict[bytes, list[tuple[str, str]]] = {}
    for corpus, items in checked.items():
        for item in items:
            place = (item.utterance.audio, item.utterance.offset)
            if item.digest is not None and not item.silent and place not in places:
                places.add(place)
                groups.setdefault(item.digest, []).append((corpus, item.utterance.id))
    across: list[str] = []
    within: list[str] = []
    for group in groups.values():
        if len(group) > 1:
            several_corpora = len({corpus for corpus, _ in group}) > 1
            names = across if several_corpora else within
            names.append(" = ".join(f"{corpus}:{name}" for corpus, name in group))
    check = "datasets: same audio"
    findings = []
    for names, where, remedy in (
        (across, "across corpora", "Keep each recording in one corpus alone."),
        (within, "within a corpus", "Keep one of each."),
    ):
        if names:
            found = f"{quantity(len(names), 'recording')} more than once {where}: {few(names)}"
            findings.append(Finding("warning", check, found, remedy))
    return findings or [Finding("ok", check, f"none among {quantity(len(places), 'recording')}")]
