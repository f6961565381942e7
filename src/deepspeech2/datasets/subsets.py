"""Small shares of LibriSpeech, named so that results on them can be repeated anywhere.

A share is a list of utterances of one split. A folder of its name with the layout of the corpus
takes the place of the list.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from deepspeech2.datasets.corpus import Exclusion
from deepspeech2.errors import ManifestError
from deepspeech2.types import Utterance

SHARES = {
    "train-clean-8h": "train-clean-100",
    "dev-clean-70m": "train-clean-100",
    "test-clean-35m": "test-clean",
}
"""The split that each share is taken from. The first two have no speaker in common."""

_LISTS = Path(__file__).parent / "lists"


def listed(share: str) -> frozenset[str]:
    """Ids of the utterances of ``share``, a key of ``SHARES``."""
    return frozenset((_LISTS / f"{share}.txt").read_text(encoding="ascii").split())


def take_share(
    share: str,
    utterances: Sequence[Utterance],
    exclusions: Sequence[Exclusion],
    place: Path,
) -> tuple[list[Utterance], list[Exclusion]]:
    """What the split at ``place`` holds of ``share``: utterances, and recordings at fault.

    Raises:
        ManifestError: the split lacks some of it.
    """
    ids = listed(share)
    taken = [utterance for utterance in utterances if utterance.id in ids]
    faults = [
        exclusion
        for exclusion in exclusions
        if exclusion.utterance is not None and exclusion.utterance.id in ids
    ]
    lacking = ids.difference(
        (utterance.id for utterance in taken),
        (fault.utterance.id for fault in faults if fault.utterance is not None),
    )
    if lacking:
        raise ManifestError(
            f"{place} lacks {len(lacking)} of the {len(ids)} utterances of {share}"
            f" ({min(lacking)} ...): unpack the whole of {SHARES[share]} there"
        )
    return taken, faults
