"""Names that other programs use in manifests, tables and lists of predictions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

AUDIO = ("audio_filepath", "audio_path", "audio", "path", "file", "wav")
TEXT = (
    "text", "reference", "ref", "transcript", "transcription", "sentence", "normalized_text",
    "target",
)  # fmt: skip
PREDICTION = ("pred_text", "hypothesis", "hyp", "prediction", "predicted", "pred")
SPEAKER = ("speaker", "speaker_id", "client_id", "spk_id")
ID = ("id", "utt_id", "utterance_id", "name")


def find(keys: Collection[str], known: Sequence[str]) -> str | None:
    """Return the one of ``keys`` that means ``known[0]``: itself, else the only other, or None.

    Case makes no difference.

    Raises:
        ValueError: several others do; names them.

    >>> find(["path", "Sentence"], TEXT)
    'Sentence'
    """
    if known[0] in keys:  # as in nearly all of many lines
        return known[0]
    own = {key.lower(): key for key in keys}
    matches = [own[name] for name in known if name in own]
    if len(matches) > 1 and matches[0].lower() != known[0]:
        raise ValueError(
            f"{', '.join(matches[:-1])} and {matches[-1]} may each be the {known[0]}: call the one"
            f" that is meant {known[0]}"
        )
    return matches[0] if matches else None


def listed(keys: Iterable[str]) -> str:
    """Join names for a message.

    >>> listed(["a", "b"]), listed([])
    ('a, b', 'nothing')
    """
    return ", ".join(keys) or "nothing"
