"""Read utterances from the manifests of lhotse (https://lhotse.readthedocs.io): cuts, or
supervisions and their recordings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any, Unpack

from deepspeech2.datasets.row_corpus import Options, RowCorpus
from deepspeech2.datasets.rows import JsonObject, Row, label, read_rows, seconds
from deepspeech2.errors import ManifestError
from deepspeech2.http import remote
from deepspeech2.http.addresses import is_address
from deepspeech2.http.remote import below, beside, open_list
from deepspeech2.paths import resolve

_BEYOND = 0.1  # seconds by which a supervision may reach beyond its cut: times are rounded
_HARMLESS = ("Resample",)  # of a recording's transforms: samples are converted anyway


class LhotseCorpus(RowCorpus):
    """The utterances of lhotse's manifests, in their order.

    Each supervision of a MonoCut or MultiCut is an utterance, named as the supervision, as
    ``CutSet.trim_to_supervisions(keep_overlapping=False)`` makes them. A cut without a supervision
    is one without a transcript. Only recordings in files are read: a source that is a command is
    never run, and a recording that lhotse would change (another speed, mixed noise) is left out,
    as is every cut that is wrong; these are ``exclusions``.

    Args:
        manifest: cuts in JSON lines (``.jsonl``, ``.jsonl.gz``), or supervisions, with
            ``recordings``; a relative path counts from ``data_dir`` if that is given, otherwise
            from the repository's root. It may be an address, as may the recordings; see
            :mod:`deepspeech2.http.remote`.
        data_dir: a folder, or its address, which recordings with relative paths count from as
            well; None: that of the manifest. A relative path counts from the repository's root.
        recordings: the manifest of recordings that supervisions belong to.
        options: of every reader; see :class:`~deepspeech2.datasets.row_corpus.RowCorpus`. The
            corpus' own name is the manifest's name without its endings.

    Raises:
        ConfigError: an option is not positive, there are fewer hours, or a speaker does not occur.
        ManifestError: a manifest is missing, more than half of its lines are wrong, or no
            utterance is left.
    """

    def __init__(
        self,
        manifest: str | Path,
        data_dir: str | Path | None = None,
        *,
        recordings: str | Path | None = None,
        **options: Unpack[Options],
    ) -> None:
        path = open_list(manifest, data_dir)
        folder = path.parent
        if data_dir is not None:
            folder = below(folder, data_dir) if is_address(data_dir) else resolve(data_dir)
        if recordings is None:
            rows, faults = read_rows(path, lambda item: _cut(item, folder))
        else:
            known = _recordings(beside(folder, recordings))
            rows, faults = read_rows(path, lambda item: [_lone_supervision(item, known, folder)])
        name = path.name.partition(".")[0]
        super().__init__(rows, faults, folder=folder, place=path, default_name=name, **options)


def _cut(cut: JsonObject, folder: Path) -> list[Row]:
    """Make the rows of one cut."""
    kind = cut.get("type", "MonoCut")
    if "recording_id" in cut:
        raise ValueError("is a supervision, not a cut: name its recordings with recordings=")
    if kind not in ("MonoCut", "MultiCut"):
        raise ValueError(f"is a {kind}, which is no stretch of one recording: save it with lhotse")
    recording = _part(cut, "recording")
    start, duration = _required(cut, "start"), _required(cut, "duration")
    if start < 0 or duration <= 0:
        raise ValueError(f"cut from {start:g} s on for {duration:g} s is not in its recording")
    supervisions = cut.get("supervisions") or []
    if not isinstance(supervisions, list):
        raise ValueError("supervisions must be a list")
    if not supervisions:
        audio, channel = _source(recording, cut.get("channel"), folder)
        return [Row(audio, duration, None, start, None, label(cut, "id"), channel)]
    rows = []
    for each in supervisions:
        row = _supervision(each, recording, folder)
        end = row.offset + (row.duration or 0.0)
        if row.offset < -_BEYOND or end > duration + _BEYOND:
            raise ValueError(f"supervision {row.id} reaches beyond its cut")
        first, last = max(0.0, row.offset), min(end, duration)
        if last <= first:
            raise ValueError(f"supervision {row.id} is outside its cut")
        rows.append(_moved(row, start + first, last - first))
    return rows


def _moved(row: Row, offset: float, duration: float) -> Row:
    offset, duration = round(offset, 8), round(duration, 8)  # as lhotse adds times
    return Row(row.audio, duration, row.text, offset, row.speaker, row.id, row.channel)


def _supervision(item: Any, recording: JsonObject, folder: Path) -> Row:
    """Make the row of a supervision, whose offset counts from its cut."""
    if not isinstance(item, dict):
        raise ValueError(f"supervision must be an object, but is {json.dumps(item)[:40]}")
    duration = _required(item, "duration")
    if duration <= 0:
        raise ValueError(f"duration must be positive, but is {duration:g}")
    text = item.get("text")
    if text is not None and not isinstance(text, str):
        raise ValueError(f"text must be a string, but is {json.dumps(text)}")
    audio, channel = _source(recording, item.get("channel"), folder)
    offset, speaker = _required(item, "start"), label(item, "speaker")
    return Row(audio, duration, text, offset, speaker, label(item, "id"), channel)


def _lone_supervision(item: JsonObject, recordings: Mapping[str, JsonObject], folder: Path) -> Row:
    """Make the row of a supervision whose offset counts from its recording."""
    name = label(item, "recording_id")
    if name is None or name not in recordings:
        raise ValueError(f"recording_id {json.dumps(name)} is not among the recordings")
    row = _supervision(item, recordings[name], folder)
    if row.offset < 0:
        raise ValueError(f"start must not be negative, but is {row.offset:g}")
    return row


def _recordings(path: Path) -> dict[str, JsonObject]:
    """Read a manifest of recordings; returns them by their ids."""
    known: dict[str, JsonObject] = {}

    def note(item: JsonObject) -> list[Row]:
        name = label(item, "id")
        if name is None or "sources" not in item:
            raise ValueError("is no recording: it has no id or no sources")
        known[name] = item
        return []

    _, faults = read_rows(path, note)
    if faults and not known:
        raise ManifestError(f"{path} contains no recording ({faults[0].reason})")
    return known


def _source(recording: JsonObject, channel: Any, folder: Path) -> tuple[PurePath, int | None]:
    """Return the file of a recording, and which of its channels is wanted, counted from 1."""
    transforms = recording.get("transforms") or []
    changes = [each.get("name") for each in transforms if isinstance(each, dict)]
    changes = [name for name in changes if name not in _HARMLESS]
    if changes:
        raise ValueError(
            f"lhotse would change its recording ({', '.join(map(str, changes))}), which is not done"
            " here: save the changed recording"
        )
    sources = recording.get("sources")
    if not isinstance(sources, list) or not all(isinstance(each, dict) for each in sources):
        raise ValueError("its recording has no list of sources")
    wanted = _channels(channel)
    for source in sources:
        channels = _channels(source.get("channels")) or [0]
        if not set(wanted) <= set(channels):
            continue
        kind, place = source.get("type"), source.get("source")
        if kind not in ("file", "url"):
            reason = ": no command is run" if kind == "command" else ""
            raise ValueError(f"its recording is of the type {kind}, not a file{reason}")
        if not isinstance(place, str) or not place:
            raise ValueError(f"source must be a path, but is {json.dumps(place)}")
        alone = len(wanted) == 1 and len(channels) > 1
        return remote.recording(place, folder), channels.index(wanted[0]) + 1 if alone else None
    raise ValueError(f"no source of its recording has the channel {json.dumps(channel)}")


def _channels(value: Any) -> list[int]:
    channels = [] if value is None else value if isinstance(value, list) else [value]
    if not all(isinstance(each, int) for each in channels):
        raise ValueError(f"channels must be whole numbers, but are {json.dumps(value)}")
    return channels


def _part(row: JsonObject, key: str) -> JsonObject:
    value = row.get(key)
    if not isinstance(value, dict):
        raise ValueError(f"has no {key}: its keys are {', '.join(row) or 'nothing'}")
    return value


def _required(row: JsonObject, key: str) -> float:
    value = seconds(row, key)
    if value is None:
        raise ValueError(f"has no {key}")
    return value
