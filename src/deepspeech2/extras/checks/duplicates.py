"""The same utterance twice, within a corpus or in training and evaluation alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from deepspeech2.datasets.corpus import Corpus
from deepspeech2.extras.checks.audio_check import Heard
from deepspeech2.extras.checks.finding import Finding, few, quantity
from deepspeech2.types import Utterance

TRAIN = "train"
"""The corpus that is learnt from; every other one is evaluated."""


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
    """Whether what is evaluated stands in the training corpus too.

    By the audio file, or by speaker and transcript: the same words from the same mouth may be
    the same recording under another name.
    """
    others = {name: corpus for name, corpus in corpora.items() if name != TRAIN}
    if TRAIN not in corpora or not others:
        return []
    files = {utterance.audio for corpus in others.values() for utterance in corpus}
    said = {words for corpus in others.values() for item in corpus if (words := _said(item))}
    speakers = {speaker for speaker, _ in said}
    known_files: set[Path] = set()
    known_said: set[tuple[str, str]] = set()
    for utterance in corpora[TRAIN]:  # perhaps 281,000: only what matters is normalised
        if utterance.audio in files:
            known_files.add(utterance.audio)
        if utterance.speaker in speakers and (words := _said(utterance)) in said:
            known_said.add(words)
    findings = []
    for name, corpus in others.items():
        by_file = [item for item in corpus if item.audio in known_files]
        rest = [item for item in corpus if item.audio not in known_files]
        by_words = [item for item in rest if _said(item) in known_said]
        findings += _overlap(name, "audio file", by_file)
        findings += _overlap(name, "speaker and transcript", by_words)
    return findings or [
        Finding("ok", "datasets: overlap", f"nothing of {', '.join(others)} stands in {TRAIN}")
    ]


def _said(utterance: Utterance) -> tuple[str, str] | None:
    """Speaker and words; None where one of them is unknown."""
    if utterance.speaker is None or not utterance.text:
        return None
    return utterance.speaker, " ".join(utterance.text.casefold().split())


def _overlap(name: str, by: str, items: Sequence[Utterance]) -> list[Finding]:
    if not items:
        return []
    ids = few([item.id for item in items])
    found = f"{quantity(len(items), 'utterance')} of {name} in {TRAIN} by {by}: {ids}"
    remedy = f"Leave them out of {TRAIN}, or what {name} measures is partly memory."
    return [Finding("warning", "datasets: overlap", found, remedy)]


def judge_contents(heard: Mapping[str, Sequence[Heard]]) -> list[Finding]:
    """Whether recordings in different places sound the same to the last sample.

    Args:
        heard: what was read, by corpus; silence is alike everywhere and does not count.
    """
    places: dict[tuple[Path, float], bytes] = {}
    groups: dict[bytes, list[tuple[str, str]]] = {}
    for corpus, items in heard.items():
        for item in items:
            place = (item.utterance.audio, item.utterance.offset)
            if item.digest is not None and not item.silent and place not in places:
                places[place] = item.digest
                groups.setdefault(item.digest, []).append((corpus, item.utterance.id))
    twins = [group for group in groups.values() if len(group) > 1]
    across = [group for group in twins if len({corpus for corpus, _ in group}) > 1]
    within = [group for group in twins if group not in across]
    check = "datasets: same audio"
    findings = []
    for alike, where, remedy in (
        (across, "across corpora", "Keep each recording in one corpus alone."),
        (within, "within a corpus", "Keep one of each."),
    ):
        if alike:
            names = few([" = ".join(f"{c}:{u}" for c, u in group) for group in alike])
            found = f"{quantity(len(alike), 'recording')} more than once {where}: {names}"
            findings.append(Finding("warning", check, found, remedy))
    return findings or [Finding("ok", check, f"none among {quantity(len(places), 'recording')}")]
