"""LibriSpeech (OpenSLR 12), mini LibriSpeech (OpenSLR 31) and corpora in their layout."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path, PurePath

from deepspeech2.datasets.corpus import Corpus, Exclusion, select
from deepspeech2.datasets.download import SPLITS, download_split
from deepspeech2.datasets.index import open_index, uncollected
from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.http.remote import on_disk
from deepspeech2.paths import resolve
from deepspeech2.types import Utterance
from deepspeech2.user_cache import user_folder

GROUPS = {
    "train_all": ("train-clean-100", "train-clean-360", "train-other-500"),
    "train_mini": ("train-clean-5",),
    "dev_mini": ("dev-clean-2",),
}
"""Names of several splits, or other names of one."""

SUBSETS = {
    "train-clean-8h": "train-clean-100",
    "dev-clean-70m": "train-clean-100",
    "test-clean-35m": "test-clean",
}
"""The split of each small subset, whose results can be repeated anywhere because a file lists its
utterances. The first two have no speaker in common."""

_LISTS = Path(__file__).parent / "lists"


class LibriSpeechCorpus(Corpus):
    """One or several splits of LibriSpeech, or any folder in its layout.

    The layout is ``speaker/chapter/*.trans.txt`` with lines "ID TEXT" and a recording ``ID.*``
    beside it, in any format that libsndfile reads. Utterances come in the order of the parts,
    within a part sorted by path. Transcripts are left as the corpus writes them.

    Args:
        part: a split, a key of ``GROUPS`` or of ``SUBSETS``, a folder below ``data_dir``, or a
            list of these.
        data_dir: the folder of the splits, or of their folder ``LibriSpeech``; a relative path
            counts from the repository's root.
        hours, limit, max_audio_length, max_text_length: what to keep of all parts together; see
            :func:`~deepspeech2.datasets.corpus.select`.
        index_dir: for the indexes of the parts; None: the user's cache folder.
        download: whether a missing split is downloaded to ``data_dir``.
        n_workers: threads that read headers for an index; None for a default.

    Raises:
        ConfigError: an option is out of range, or a part is outside ``data_dir``.
        ManifestError: a part is missing, or no utterance is left.
        DownloadError: a split cannot be downloaded.
    """

    def __init__(
        self,
        part: str | Sequence[str],
        data_dir: str | Path,
        *,
        hours: float | None = None,
        limit: int | None = None,
        max_audio_length: float | None = None,
        max_text_length: int | None = None,
        index_dir: str | Path | None = None,
        download: bool = True,
        n_workers: int | None = None,
    ) -> None:
        names = (part,) if isinstance(part, str) else tuple(part)
        if not names:
            raise ConfigError("part must name at least one split or folder, but is empty")
        root = on_disk(data_dir)
        indexes = user_folder() / "index" if index_dir is None else resolve(index_dir)
        with uncollected():
            utterances: list[Utterance] = []
            exclusions: list[Exclusion] = []
            for split in chain.from_iterable(GROUPS.get(name, (name,)) for name in names):
                folder = find_part(split, root, download=download)
                listed = split in SUBSETS and folder.name != split
                name = SUBSETS[split] if listed else split
                index = open_index(folder, indexes, name, n_workers=n_workers)
                if listed:
                    index = take_subset(split, *index, folder)
                utterances.extend(index[0])
                exclusions.extend(index[1])
            kept, filtered = select(utterances, hours, limit, max_audio_length, max_text_length)
        super().__init__(
            "+".join(names), kept, (*exclusions, *filtered), place=f"{root} ({'+'.join(names)})"
        )


def subset_ids(subset: str) -> frozenset[str]:
    """Return the ids of the utterances of ``subset``, a key of ``SUBSETS``."""
    return frozenset((_LISTS / f"{subset}.txt").read_text(encoding="ascii").split())


def take_subset(
    subset: str,
    utterances: Sequence[Utterance],
    exclusions: Sequence[Exclusion],
    place: Path,
) -> tuple[list[Utterance], list[Exclusion]]:
    """Take the utterances and the unreadable recordings of ``subset`` from the split at ``place``.

    Raises:
        ManifestError: the split lacks some of it.
    """
    ids = subset_ids(subset)
    taken = {item.id: item for item in utterances if item.id in ids}
    faults = {
        item.utterance.id: item
        for item in exclusions
        if item.utterance is not None and item.utterance.id in ids
    }
    lacking = ids - taken.keys() - faults.keys()
    if lacking:
        raise ManifestError(
            f"{place} lacks {len(lacking)} of the {len(ids)} utterances of {subset}"
            f" ({min(lacking)} ...): unpack the whole of {SUBSETS[subset]} there"
        )
    return list(taken.values()), list(faults.values())


def find_part(part: str, data_dir: Path, *, download: bool) -> Path:
    """Return the folder of ``part``, after downloading it if it is a known split that is missing.

    A subset without a folder of its own has that of its split.

    Raises:
        ConfigError: ``part`` is absolute or leads out of ``data_dir``.
        ManifestError: there is no such folder and nothing to download.
    """
    path = PurePath(part)
    if not path.parts or path.is_absolute() or ".." in path.parts:
        raise ConfigError(f"part must name a folder below data_dir, but is {part!r}")
    # The archives unpack to LibriSpeech/<split>; other copies keep the splits side by side.
    for folder in (data_dir / part, data_dir / "LibriSpeech" / part):
        if folder.is_dir():
            return folder
    if part in SUBSETS:
        return find_part(SUBSETS[part], data_dir, download=download)
    if part not in SPLITS:
        raise ManifestError(
            f"{data_dir / part} does not exist and {part!r} is no split of LibriSpeech "
            f"({', '.join(SPLITS)}): check part and data_dir"
        )
    if not download:
        raise ManifestError(
            f"{data_dir / part} does not exist: set data_dir to where LibriSpeech is, "
            f"or download=true to fetch {part}"
        )
    return download_split(part, data_dir)
