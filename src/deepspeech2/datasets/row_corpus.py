"""The utterances of rows, and the options that all readers of rows share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypedDict, Unpack

from deepspeech2.audio.reading import AudioInfo
from deepspeech2.datasets.corpus import Corpus, Exclusion, audio_fault, plain_ids, select
from deepspeech2.datasets.durations import infos_of
from deepspeech2.datasets.rows import Row
from deepspeech2.datasets.split import SHARES, Split, split_of
from deepspeech2.errors import AudioError, ConfigError
from deepspeech2.http.remote import fetch_recordings, place_free
from deepspeech2.types import Utterance


class Options(TypedDict, total=False):
    """What every reader of rows takes, as ``**options``; see :class:`RowCorpus`."""

    name: str | None
    hours: float | None
    limit: int | None
    max_audio_length: float | None
    max_text_length: int | None
    speakers: Sequence[str] | None
    exclude_speakers: Sequence[str] | None
    split: str | None
    shares: Sequence[float]
    split_by: str


class RowCorpus(Corpus):
    """The utterances of rows, in their order: a reader finds the rows and leaves the rest to this.

    A recording is only opened where its row has no duration. Those that have addresses are fetched:
    all that are kept, and those whose durations are asked for.

    Args:
        rows: of all utterances that the reader found.
        faults: what it left out.
        folder: that relative paths of recordings count from.
        place: what was read, for messages.
        default_name: of the corpus without ``name``.
        name: of the corpus.
        hours, limit, max_audio_length, max_text_length: what to keep; see
            :func:`~deepspeech2.datasets.corpus.select`.
        speakers: take only these.
        exclude_speakers: take all but these.
        split, shares, split_by: take one part; see :class:`~deepspeech2.datasets.split.Split`.

    Raises:
        ConfigError: an option is out of range, there are fewer hours, or a speaker does not occur.
        ManifestError: no utterance is left.
        DownloadError: what has an address cannot be fetched.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        faults: Iterable[Exclusion],
        *,
        folder: Path,
        place: Path,
        default_name: str,
        **options: Unpack[Options],
    ) -> None:
        wanted = by_speaker(rows, place, options.get("speakers"), options.get("exclude_speakers"))
        by = options.get("split_by", "speaker")
        split = split_of(options.get("split"), options.get("shares", SHARES), by)
        utterances, exclusions = as_utterances(wanted, folder, place, split)
        kept, filtered = select(
            utterances,
            options.get("hours"),
            options.get("limit"),
            options.get("max_audio_length"),
            options.get("max_text_length"),
        )
        gone = fetch_recordings([each.audio for each in kept])
        absent = [
            Exclusion(each.id, gone[each.audio], replace(each, duration=0))
            for each in kept
            if each.audio in gone
        ]
        name = options.get("name")
        super().__init__(
            default_name if name is None else name,
            [each for each in kept if each.audio not in gone],
            (*faults, *exclusions, *filtered, *absent),
            place=place,
        )


def by_speaker(
    rows: Sequence[Row],
    place: Path,
    speakers: Sequence[str] | None,
    exclude_speakers: Sequence[str] | None,
) -> list[Row]:
    """Keep the rows of the speakers that are wanted; the rest belongs to another part.

    Raises:
        ConfigError: a speaker does not occur.
    """
    known = {row.speaker for row in rows}
    for name in (*(speakers or ()), *(exclude_speakers or ())):
        if name not in known:
            raise ConfigError(f"speaker {name!r} does not occur in {place}")
    wanted = known if speakers is None else set(speakers)
    wanted = wanted - set(exclude_speakers or ())
    return [row for row in rows if row.speaker in wanted]


def as_utterances(
    rows: Sequence[Row], folder: Path, place: Path, split: Split | None = None
) -> tuple[list[Utterance], list[Exclusion]]:
    """Fill in ids and durations, and leave out rows whose recording is missing or broken.

    Args:
        folder: that relative paths count from.
        place: of the corpus, for which durations are kept.
        split: chooses a part of the rows; ids are the same whichever is chosen.

    Raises:
        ManifestError: the part would be empty.
    """
    ids = plain_ids([(row.id or row.audio.stem, place_free(row.audio)) for row in rows])
    named = list(zip(ids, rows, strict=True))
    if split is not None:
        named = split.take(
            named,
            lambda pair: pair[1].speaker,
            lambda pair: place_free(pair[1].audio).as_posix(),
            folder,
        )
    unknown = list(dict.fromkeys(folder / row.audio for _, row in named if row.duration is None))
    gone = fetch_recordings(unknown)
    infos: dict[Path, AudioInfo | AudioError] = {
        each: AudioError(f"{each} {reason}") for each, reason in gone.items()
    }
    here = [each for each in unknown if each not in gone]
    infos |= zip(here, infos_of(here, place), strict=True) if here else ()
    utterances: list[Utterance] = []
    exclusions: list[Exclusion] = []
    for id_, row in named:
        audio = folder / row.audio
        duration = row.duration
        item = Utterance(
            id_, audio, duration or 0, row.text, row.offset, row.speaker, row.channel, row.weight
        )
        if duration is None:
            info, named_as = infos[audio], str(place_free(row.audio))
            if not isinstance(info, AudioInfo):
                there = replace(item, duration=max(0.0, info.seconds - row.offset))
                exclusions.append(Exclusion(named_as, audio_fault(info, audio), there))
                continue
            duration = info.duration - row.offset
            if duration <= 0:
                reason = f"ends before the offset {row.offset:g} s"
                exclusions.append(Exclusion(named_as, reason, item))
                continue
            item = replace(item, duration=duration)
        utterances.append(item)
    return utterances, exclusions
