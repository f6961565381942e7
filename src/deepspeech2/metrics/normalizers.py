"""What is done to both texts before they are compared, by name."""

from __future__ import annotations

from collections.abc import Callable

from deepspeech2.errors import ConfigError
from deepspeech2.text.normalization import Normalizer

NORMALIZERS = {
    "default": "lower case, no punctuation but the apostrophe, single spaces",
    "librispeech": "the same: LibriSpeech's transcripts know letters and apostrophes",
    "whisper": "Whisper's for English: numbers, contractions, British spelling, fillers"
    " (needs whisper-normalizer)",
    "none": "nothing",
}
"""What each does."""


def normalizer(name: str) -> Callable[[str], str]:
    """The normaliser of that name.

    Raises:
        ConfigError: there is none, or its package is not installed.
    """
    if name == "none":
        return lambda text: text
    if name in ("default", "librispeech"):
        return Normalizer()
    if name != "whisper":
        raise ConfigError(f"--normalizer must be one of {', '.join(NORMALIZERS)}, but is {name!r}")
    try:
        from whisper_normalizer.english import EnglishTextNormalizer
    except ImportError as error:
        raise ConfigError(
            "--normalizer whisper needs a package that is missing: pip install whisper-normalizer"
        ) from error
    whisper: Callable[[str], str] = EnglishTextNormalizer()
    return whisper
