"""Read utterances from a manifest, one JSON object a line; NeMo's are such."""

from __future__ import annotations

import json
import math
from pathlib import Path, PurePath
from typing import Any, Unpack

from deepspeech2.datasets.row_corpus import Options, RowCorpus
from deepspeech2.datasets.rows import JsonObject, Row, label, read_rows, seconds
from deepspeech2.fields import AUDIO, SPEAKER, TEXT, find, listed
from deepspeech2.http.addresses import is_address
from deepspeech2.http.remote import open_list, recording


class ManifestCorpus(RowCorpus):
    """The utterances of a manifest in JSON, in its order.

    It has one object a line, or is one list of them. Each has ``audio_filepath`` (relative to the
    manifest) and may have ``duration`` and ``offset`` (seconds), ``text``, ``speaker``, ``id`` and
    ``weight`` (of the transcript in training, 1 if it is missing, see
    :class:`~deepspeech2.loss.CtcLoss`).
    Other names of the recording, the text and the speaker are accepted, see
    :mod:`deepspeech2.fields`. A missing duration is read from the recording, which is not opened
    otherwise. Further keys are ignored. A line that is wrong is left out, and is one of
    ``exclusions``.

    Args:
        manifest: the file, also packed as ``.gz``; a relative path counts from ``data_dir`` if that
            is given, otherwise from the repository's root. It may be an address, as may the
            recordings; see :mod:`deepspeech2.http.remote`.
        data_dir: a folder, or its address; a relative path counts from the repository's root.
        options: of every reader; see :class:`~deepspeech2.datasets.row_corpus.RowCorpus`. The
            corpus' own name is the manifest's name without its ending.

    Raises:
        ConfigError: an option is not positive, there are fewer hours, or a speaker does not occur.
        ManifestError: the manifest is missing, more than half of its lines are wrong, or no
            utterance is left.
    """

    def __init__(
        self,
        manifest: str | Path,
        data_dir: str | Path | None = None,
        **options: Unpack[Options],
    ) -> None:
        path = open_list(manifest, data_dir)
        rows, faults = read_rows(path, lambda item: [_parse(item, path.parent)])
        name = PurePath(path.name.removesuffix(".gz")).stem
        super().__init__(rows, faults, folder=path.parent, place=path, default_name=name, **options)


def _parse(row: JsonObject, folder: Path) -> Row:
    # in a data set of Hugging Face, audio may be decoded sound beside its file
    keys = [key for key in row if not (key == "audio" and isinstance(row[key], dict))]
    key = find(keys, AUDIO)
    if key is None:
        raise ValueError(
            f"has no audio_filepath, nor {', '.join(AUDIO[1:])}: its keys are {listed(row)}"
        )
    audio = row[key]
    if not isinstance(audio, str) or not audio:
        raise ValueError(f"{key} must be a path, but is {json.dumps(audio)}")
    duration = seconds(row, "duration")
    if duration is not None and duration <= 0:
        raise ValueError(f"duration must be positive, but is {duration:g}")
    offset = seconds(row, "offset") or 0.0
    if offset < 0:
        raise ValueError(f"offset must not be negative, but is {offset:g}")
    key = find(row, TEXT) or "text"
    text = row.get(key)
    if text is not None and not isinstance(text, str):
        raise ValueError(f"{key} must be a string, but is {json.dumps(text)}")
    speaker = label(row, find(row, SPEAKER) or "speaker")
    name, weight = label(row, "id"), _weight(row.get("weight"))
    return Row(_place(audio, folder), duration, text, offset, speaker, name, weight=weight)


def _weight(value: Any) -> float:
    if value is None:
        return 1.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(f"weight must be a number of at least 0, but is {json.dumps(value)}")
    return float(value)


def _place(audio: str, folder: Path) -> PurePath:
    """Return the path as written, or with Windows' backslashes replaced if only that exists."""
    if "\\" not in audio or is_address(audio):
        return recording(audio, folder)
    for path in (PurePath(audio), PurePath(audio.replace("\\", "/"))):
        if (folder / path).exists():
            return path
    raise ValueError(
        f"audio_filepath {audio} does not exist, neither as it is nor with / for each backslash:"
        " write paths relative to the manifest"
    )
