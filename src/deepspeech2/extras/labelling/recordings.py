"""The recordings of a folder with what a model hears in them, which is kept beside the journal."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from deepspeech2.audio.blocks import blocks
from deepspeech2.audio.reading import read_audio
from deepspeech2.datasets.corpus import Corpus
from deepspeech2.datasets.directory import DirectoryCorpus
from deepspeech2.datasets.manifest import ManifestCorpus
from deepspeech2.decoding import BeamSearchDecoder, Decoder, GreedyDecoder, Word
from deepspeech2.errors import ConfigError, SpeechError
from deepspeech2.inference import Recognizer
from deepspeech2.inference.long import no_progress
from deepspeech2.metrics.edits import character_edits
from deepspeech2.settings.recognition import MAX_SEGMENT
from deepspeech2.types import Hypothesis, Utterance

TRANSCRIPTS = "labels.transcripts.jsonl"
"""What a model heard, for as long as recordings and model stay the same."""

_MANIFEST = "manifest.jsonl"  # as deepspeech2 segment writes it
_CHOICES = 9  # of the n-best list: a key for each digit


class HeardWord(BaseModel):
    """A word; seconds from the start of the file, confidence from 0 to 1."""

    word: str
    start: float
    end: float
    confidence: float


class Heard(BaseModel):
    """What a model heard in an utterance.

    Attributes:
        utterance: its name in the journal.
        key: the recording's size and time of change, the part of it, and the model.
        text: of the model's own decoder.
        other: of another one: of the best path, or of a beam search where that is the model's own.
        nbest: other texts, best first.
        confidence: of ``text``, from 0 to 1; calibrated if the model is.
        error: why nothing, or not all, can be read.
    """

    utterance: str
    key: list[Any]
    text: str = ""
    other: str = ""
    nbest: list[str] = []
    words: list[HeardWord] = []
    confidence: Annotated[float, Field(ge=0, le=1)] = 0.0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """An utterance to be labelled.

    Attributes:
        name: in the journal: its path below the folder, with the start if it is only a part.
        audio: path of the recording below the folder, with ``/``.
        given: the transcript that is there already, normalised; None: there is none.
    """

    name: str
    audio: str
    utterance: Utterance
    given: str | None
    heard: Heard

    @property
    def text(self) -> str:
        """What is to be checked."""
        return self.heard.text if self.given is None else self.given

    @property
    def difference(self) -> float:
        """The character error rate between the two decoders' texts, or any and the given one."""
        texts = [self.heard.other, self.heard.text]
        pairs = [(self.heard.text, self.heard.other)]
        if self.given is not None:
            pairs = [(self.given, each) for each in texts]
        return max(min(1.0, character_edits(*pair).rate) for pair in pairs)

    @property
    def doubt(self) -> float:
        """From 0 to 1: what is missing to full confidence, or the difference if that is more."""
        return 1.0 if self.heard.error else max(1 - self.heard.confidence, self.difference)


def open_corpus(path: Path) -> tuple[Path, Corpus]:
    """Return the folder of the journal and the utterances of a folder or a manifest.

    Raises:
        ManifestError: it is missing, malformed, or has no recording.
    """
    if path.is_file():
        return path.parent, ManifestCorpus(path)
    if (path / _MANIFEST).is_file():
        return path, ManifestCorpus(path / _MANIFEST)
    return path, DirectoryCorpus(path)


def transcribe(
    folder: Path,
    utterances: Sequence[Utterance],
    recognizer: Recognizer,
    on_progress: Callable[[float], None] = no_progress,
) -> list[Item]:
    """Transcribe what is not transcribed yet, and return all items in their order.

    Each result is written at once: an interrupted run goes on where it ended.

    Args:
        on_progress: called with the seconds of each utterance that is done.

    Raises:
        ConfigError: a path is not UTF-8.
        OSError: the folder cannot be written.
    """
    decoders = [recognizer.decoder, _other(recognizer)]
    model = [recognizer.fingerprint, decoders[1].name]
    names = _names(folder, utterances)
    path = folder / TRANSCRIPTS
    known = {heard.utterance: heard for heard in _read(path)}
    items = []
    with path.open("ab", buffering=0) as file:
        for (name, audio), utterance in zip(names, utterances, strict=True):
            key = [*_signature(utterance), model]
            heard = known.get(name)
            if heard is None or heard.key != key:
                heard = _heard(utterance, recognizer, decoders, name, key)
                # a line feed first, as in the journal: half a line is not joined to the next
                line = b"\n" + heard.model_dump_json(exclude_none=True).encode()
                try:
                    while file.write(line) < len(line):
                        continue  # a part is no line; a full disk raises
                except OSError as error:
                    error.filename = str(path)
                    raise
            given = None
            if utterance.text is not None:
                given = recognizer.text_encoder.normalize(utterance.text)
            items.append(Item(name, audio, utterance, given, heard))
            on_progress(utterance.duration)
    return items


def _names(folder: Path, utterances: Sequence[Utterance]) -> list[tuple[str, str]]:
    """Names of utterances in the journal, and the paths of their recordings."""
    result = []
    for utterance in utterances:
        audio = Path(os.path.relpath(utterance.audio, folder)).as_posix()
        if not audio.isprintable():
            raise ConfigError(f"the name of {audio!r} cannot be written as text: rename it")
        result.append((f"{audio}#{utterance.offset:g}" if utterance.offset else audio, audio))
    repeated = len(result) - len({name for name, _ in result})
    if repeated:
        raise ConfigError(f"{repeated} utterances begin where another begins: leave one of each")
    return result


def _signature(utterance: Utterance) -> list[Any]:
    try:
        status = utterance.audio.stat()
    except OSError:
        return [0, 0, utterance.offset, utterance.duration]
    return [status.st_size, status.st_mtime_ns, utterance.offset, utterance.duration]


def _read(path: Path) -> Iterator[Heard]:
    if not path.exists():
        return
    for line in path.read_bytes().split(b"\n"):
        try:
            yield Heard.model_validate_json(line)
        except ValidationError:  # of a writer that was killed
            continue


def _other(recognizer: Recognizer) -> Decoder:
    """A decoder of another kind than the recogniser's own."""
    greedy = GreedyDecoder(recognizer.text_encoder)
    if recognizer.decoder.name != greedy.name:
        return greedy
    return BeamSearchDecoder(recognizer.text_encoder, nbest=_CHOICES)


def _heard(
    utterance: Utterance,
    recognizer: Recognizer,
    decoders: Sequence[Decoder],
    name: str,
    key: list[Any],
) -> Heard:
    try:
        own, other = _decoded(utterance, recognizer, decoders)
    except (SpeechError, OSError) as error:
        reason = str(error).removeprefix(f"{utterance.audio} ")
        return Heard(utterance=name, key=key, error=reason)
    timed = recognizer.words(own[0])
    texts = dict.fromkeys(each.text for each in (*own, *other) if each.text != own[0].text)
    return Heard(
        utterance=name,
        key=key,
        text=own[0].text,
        other=other[0].text,
        nbest=list(texts)[: _CHOICES - 1],
        words=[_shifted(word, utterance.offset) for word in timed],
        confidence=recognizer.confidence.utterance(own[0], timed),
    )


def _decoded(
    utterance: Utterance, recognizer: Recognizer, decoders: Sequence[Decoder]
) -> list[list[Hypothesis]]:
    """Of each decoder the hypotheses, best first; of a long recording only the best."""
    part: dict[str, Any] = {
        "sample_rate": recognizer.sample_rate,
        "offset": utterance.offset,
        "duration": utterance.duration,
        "channel": utterance.channel,
    }
    if utterance.duration > MAX_SEGMENT:
        found = recognizer.listen(lambda: blocks(utterance.audio, **part), decoders).joined()
        return [[found[decoder.name]] for decoder in decoders]
    log_probs = recognizer.emissions(read_audio(utterance.audio, **part))
    return [decoder(log_probs)[0] for decoder in decoders]


def _shifted(word: Word, offset: float) -> HeardWord:
    times = {"start": round(word.start + offset, 3), "end": round(word.end + offset, 3)}
    return HeardWord(word=word.word, confidence=round(word.confidence, 4), **times)
