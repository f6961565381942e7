"""Read VoxForge (http://www.voxforge.org), as its archives unpack."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Unpack

from deepspeech2.datasets.cells import read_words
from deepspeech2.datasets.corpus import Exclusion
from deepspeech2.datasets.folders import by_stem
from deepspeech2.datasets.index import uncollected
from deepspeech2.datasets.row_corpus import Options, RowCorpus
from deepspeech2.datasets.rows import Row, judged
from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.http.remote import on_disk

PROMPTS = ("PROMPTS", "prompts-original")
_SOUND = ("wav", "flac")
_ANONYMOUS = "anonymous"


class VoxForgeCorpus(RowCorpus):
    """The utterances of all sessions, which are folders such as ``ralfherzog-20071221-de1``.

    A session has recordings in ``wav`` or ``flac``, and lines "NAME TEXT" in ``etc``. The speaker
    is what is before the first "-"; each anonymous session counts as a speaker. What has no
    recording or no text is among ``exclusions``.

    Args:
        data_dir: the folder of the sessions; a relative path counts from the repository's root.
        prompts: the texts that are taken where a session has both: ``PROMPTS``, upper-case words
            without punctuation, or ``prompts-original``, as the speaker saw them.
        options: of every reader; see :class:`~deepspeech2.datasets.row_corpus.RowCorpus`. The
            corpus' own name is that of the folder.

    Raises:
        ConfigError: an option is out of range.
        ManifestError: there is no such folder, more than half of the lines are wrong, or no
            utterance is left.
    """

    def __init__(
        self,
        data_dir: str | Path,
        prompts: str = PROMPTS[0],
        **options: Unpack[Options],
    ) -> None:
        if prompts not in PROMPTS:
            raise ConfigError(f"prompts must be {' or '.join(PROMPTS)}, but is {prompts!r}")
        folder = on_disk(data_dir)
        if not folder.is_dir():
            raise ManifestError(f"{folder} is no folder: set data_dir to that of the sessions")
        with uncollected():
            rows, left_out = _rows(folder, prompts)
            super().__init__(
                rows, left_out, folder=folder, place=folder, default_name=folder.name, **options
            )


def _rows(folder: Path, prompts: str) -> tuple[list[Row], list[Exclusion]]:
    rows: list[Row] = []
    left_out: list[Exclusion] = []
    faults: list[tuple[str, str]] = []
    for session in sorted(each for each in folder.iterdir() if each.is_dir()):
        if session.name.startswith("."):
            continue
        try:
            texts, sound = _places(session, prompts)
        except ValueError as error:
            left_out.append(Exclusion(session.name, str(error)))
            continue
        recordings = by_stem(sound)
        lines, unread = read_words(texts, 2)
        which = f" of {texts.relative_to(folder).as_posix()}"
        faults += [(f"{place}{which}", reason) for place, reason in unread]
        speaker = session.name.partition("-")[0]
        if speaker.lower() == _ANONYMOUS:
            speaker = session.name
        for number, (name, *rest) in lines:
            stem = PurePath(name).name  # the words before it are of the maker's own folders
            recording = recordings.pop(stem, None)
            if not rest:
                faults.append((f"line {number}{which}", f"{name} has no text: write NAME TEXT"))
            elif recording is None:
                faults.append((f"line {number}{which}", f"{sound} has no recording {stem}"))
            else:
                audio = PurePath(session.name, sound.name, recording)
                rows.append(Row(audio, None, rest[0], 0.0, speaker, f"{session.name}-{stem}"))
        left_out += [
            Exclusion(f"{session.name}/{sound.name}/{each}", f"no text in etc/{texts.name}")
            for each in recordings.values()
        ]
    wrong = judged(folder, len(rows), faults, "folder of VoxForge's sessions")
    return rows, wrong + left_out


def _places(session: Path, prompts: str) -> tuple[Path, Path]:
    """The file of texts and the folder of recordings; raises ValueError if one is missing."""
    names = sorted(PROMPTS, key=prompts.__ne__)
    texts = next((path for name in names if (path := session / "etc" / name).is_file()), None)
    sound = next((path for name in _SOUND if (path := session / name).is_dir()), None)
    if texts is None or sound is None:
        lacking = (
            f"etc/{' or '.join(PROMPTS)}" if texts is None else f"folder {' or '.join(_SOUND)}"
        )
        raise ValueError(f"is no session, for it has no {lacking}")
    return texts, sound
