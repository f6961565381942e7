"""Whatever a user means by ``audio``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from deepspeech2.datasets.corpus import Corpus
from deepspeech2.datasets.directory import DirectoryCorpus, recordings_corpus
from deepspeech2.datasets.live_audio import record_microphone, record_stdin
from deepspeech2.datasets.manifest import ManifestCorpus
from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.paths import at_home, resolve

LISTS = (".txt", ".lst")
MANIFESTS = (".json", ".jsonl")


class AudioCorpus(Corpus):
    """Recordings to transcribe, with references where these lie beside them.

    Args:
        audio: a recording; a folder of recordings; a list of paths, one a line, relative to the
            list (``.txt``, ``.lst``; ``#`` begins a comment where no file is called so); a
            manifest (``.jsonl``, ``.json``); several recordings; ``-`` for standard input, with a
            recording or raw 16-bit samples; ``microphone``.
            A relative path counts from the repository's root.
        rate: of raw samples and of the microphone, in Hz.
        seconds: how long the microphone is listened to; None: until Ctrl-C.

    Raises:
        AudioError: nothing can be recorded.
        ConfigError: ``audio`` is empty.
        ManifestError: a file is missing or malformed, or no recording is left.
    """

    def __init__(
        self, audio: str | Sequence[str], *, rate: int = 16000, seconds: float | None = None
    ) -> None:
        corpus = _open(audio, rate, seconds)
        super().__init__(corpus.name, corpus.utterances, corpus.exclusions)


def _open(audio: str | Sequence[str], rate: int, seconds: float | None) -> Corpus:
    if not audio:
        raise ConfigError("audio must name a recording, a folder, a list or a manifest")
    if not isinstance(audio, str):
        return recordings_corpus([resolve(each) for each in audio], name="recordings")
    if audio == "-":
        return DirectoryCorpus(record_stdin(rate))
    if audio == "microphone":
        return DirectoryCorpus(record_microphone(rate, seconds))
    path = resolve(audio)
    if path.is_file() and path.suffix.lower() in LISTS:
        return recordings_corpus(_listed(path), name=path.stem)
    if path.is_file() and path.suffix.lower() in MANIFESTS:
        return ManifestCorpus(path)
    return DirectoryCorpus(path)


def _listed(path: Path) -> list[Path]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path} is no list of recordings: it is not UTF-8") from error
    found = [named for line in lines if (named := _named(line, path.parent))]
    if not found:
        raise ManifestError(f"{path} lists no recording")
    return found


def _named(line: str, folder: Path) -> Path | None:
    """The recording that a line names; None for a comment and an empty line."""
    whole = line.strip()
    if not whole or (whole.startswith("#") and not (folder / whole).exists()):
        return None
    found = folder / at_home(whole)
    return found if found.exists() else folder / at_home(whole.partition(" #")[0].strip())
