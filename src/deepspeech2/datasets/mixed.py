"""Several corpora in one training: how much of each an epoch has, and which utterances."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepspeech2.datasets.bucketing import Indices, as_durations
from deepspeech2.datasets.corpus import Corpus, Exclusion
from deepspeech2.datasets.items import as_corpus
from deepspeech2.errors import ConfigError
from deepspeech2.seeding import derive_seed
from deepspeech2.settings.values import is_number
from deepspeech2.types import Utterance

_TICKS = 1_000_000  # in a second: whole numbers add up to the same in any order
_MOST_PASSES = 1000  # over a corpus in an epoch; planning takes time for each


class MixedCorpus(Corpus):
    """Several corpora as one.

    Without ``weights``, ``temperature`` and ``hours`` an epoch has every utterance once. With one
    of them it has so many seconds of each corpus, see :class:`EpochDraw`. Evaluation takes every
    utterance once in any case.

    An id that several corpora have is preceded by the name of its corpus and "-".

    Args:
        corpora: by name; a list takes the corpora's own names, numbered where they are equal. A
            ``torch.utils.data.Dataset`` becomes an :class:`~deepspeech2.datasets.ItemCorpus`.
        weights: for each corpus' name a positive number, to which its share of the seconds of an
            epoch is proportional.
        temperature: T, where the shares are proportional to hours ** (1 / T): 1 is the natural
            share of each, and the larger T, the more equal they are. (N. Arivazhagan et al.,
            Massively Multilingual Neural Machine Translation in the Wild, 2019, section 4.2.)
        hours: for each corpus' name its hours in an epoch.
        epoch_hours: of an epoch with ``weights`` or ``temperature``; None: as many as all
            corpora have together.

    Attributes:
        parts: the corpora by name, with the ids that they have here.

    Raises:
        ConfigError: there is no corpus, a value is no positive number, several options exclude
            each other, or the names are not those of the corpora.
    """

    def __init__(
        self,
        corpora: Mapping[str, Corpus] | Sequence[Corpus],
        *,
        weights: Mapping[str, float] | None = None,
        temperature: float | None = None,
        hours: Mapping[str, float] | None = None,
        epoch_hours: float | None = None,
    ) -> None:
        named = _named(corpora)
        chosen = {"weights": weights, "temperature": temperature, "hours": hours}
        given = [key for key, value in chosen.items() if value is not None]
        if len(given) > 1:
            raise ConfigError(f"{' and '.join(given)} of a mix exclude each other: keep one")
        for key, numbers in (("weights", weights), ("hours", hours)):
            if numbers is not None:
                _check_names(key, numbers, named)
        _check_positive("temperature", temperature)
        _check_positive("epoch_hours", epoch_hours)
        if epoch_hours is not None and not (weights or temperature):
            raise ConfigError(
                f"epoch_hours={epoch_hours} needs weights or temperature, which divide it among the"
                " corpora"
            )
        self.parts = _with_unique_ids(named)
        self._weights = weights
        self._temperature = temperature
        self._hours = hours
        self._epoch_hours = epoch_hours
        super().__init__(
            "+".join(named),
            (utterance for part in self.parts.values() for utterance in part),
            (exclusion for part in self.parts.values() for exclusion in part.exclusions),
        )

    def draw(self, durations: Mapping[str, Sequence[float]], seed: int) -> EpochDraw | None:
        """What each epoch has; None where it has every utterance once.

        Args:
            durations: seconds of the utterances of each corpus that are used.

        Raises:
            ConfigError: an epoch would be shorter than an utterance.
        """
        seconds = self._seconds({name: sum(each) for name, each in durations.items()})
        if seconds is None:
            return None
        shares = [Share(name, len(each), seconds[name]) for name, each in durations.items()]
        return EpochDraw(list(chain.from_iterable(durations.values())), shares, seed)

    def _seconds(self, available: Mapping[str, float]) -> dict[str, float] | None:
        """The seconds of each corpus in an epoch, from those that there are."""
        if self._hours is not None:
            return {name: 3600 * self._hours[name] for name in available}
        weights = self._weights
        if self._temperature is not None:
            # relative to the largest, which no power can bring out of range
            most = max(available.values())
            weights = {
                name: (seconds / most) ** (1 / self._temperature)
                for name, seconds in available.items()
            }
        if weights is None:
            return None
        total = sum(available.values()) if self._epoch_hours is None else 3600 * self._epoch_hours
        whole = math.fsum(weights[name] for name in available)
        return {name: total * weights[name] / whole for name in available}


def apart(corpora: Mapping[str, Corpus]) -> dict[str, Corpus]:
    """``corpora`` with each part of a mix by itself, as ``val.english``."""
    return {
        key: part for name, corpus in corpora.items() for key, part in parts(name, corpus).items()
    }


def parts(name: str, corpus: Corpus) -> dict[str, Corpus]:
    """The parts of a mix by ``name`` and theirs; of any other corpus itself by ``name``."""
    if not isinstance(corpus, MixedCorpus):
        return {name: corpus}
    return {f"{name}.{part}": each for part, each in corpus.parts.items()}


def _named(corpora: Mapping[str, Corpus] | Sequence[Corpus]) -> dict[str, Corpus]:
    named: dict[str, Any] = {}
    if isinstance(corpora, Mapping):
        named = {str(key): as_corpus(each) for key, each in corpora.items() if each is not None}
    elif isinstance(corpora, list | tuple):
        for number, corpus in enumerate(map(as_corpus, corpora), start=1):
            name = str(getattr(corpus, "name", number))
            named[f"{name}-{number}" if name in named else name] = corpus
    if not named:
        raise ConfigError(f"corpora must name at least one corpus, but is {corpora!r}")
    for name, corpus in named.items():
        if isinstance(corpus, MixedCorpus) or not isinstance(corpus, Corpus):
            raise ConfigError(
                f"corpora.{name} must be a corpus or Dataset by its _target_, and no mix, but is a"
                f" {type(corpus).__name__}"
            )
    return named


def _check_names(key: str, numbers: Mapping[str, float], named: Mapping[str, Corpus]) -> None:
    if not isinstance(numbers, Mapping) or numbers.keys() != named.keys():
        given = ", ".join(map(str, numbers)) if isinstance(numbers, Mapping) else repr(numbers)
        raise ConfigError(
            f"{key} must have a number for each corpus ({', '.join(named)}), but has {given}"
        )
    for name, number in numbers.items():
        _check_positive(f"{key}.{name}", number)


def _check_positive(key: str, number: float | None) -> None:
    if number is not None and not (is_number(number) and 0 < number < math.inf):
        raise ConfigError(f"{key} must be a positive number, but is {number!r}")


def _with_unique_ids(named: Mapping[str, Corpus]) -> dict[str, Corpus]:
    """The same corpora; ids of several of them are preceded by the name of theirs."""
    counts = Counter(utterance.id for corpus in named.values() for utterance in _all(corpus))
    taken = set(counts)
    parts: dict[str, Corpus] = {}
    for name, corpus in named.items():
        new: dict[str, str] = {}
        for utterance in _all(corpus):
            if counts[utterance.id] > 1:
                renamed = f"{name}-{utterance.id}"
                while renamed in taken:
                    renamed = f"{name}-{renamed}"
                taken.add(renamed)
                new[utterance.id] = renamed
        parts[name] = _renamed(corpus, new) if new else corpus
    return parts


def _all(corpus: Corpus) -> Iterable[Utterance]:
    """Utterances, and the recordings that could not be read, which have ids as well."""
    yield from corpus.utterances
    yield from (each.utterance for each in corpus.exclusions if each.utterance is not None)


def _renamed(corpus: Corpus, new: Mapping[str, str]) -> Corpus:
    def rename(utterance: Utterance) -> Utterance:
        return replace(utterance, id=new.get(utterance.id, utterance.id))

    exclusions = [
        Exclusion(each.name, each.reason, rename(each.utterance) if each.utterance else None)
        for each in corpus.exclusions
    ]
    return Corpus(corpus.name, map(rename, corpus.utterances), exclusions)


@dataclass(frozen=True, slots=True)
class Share:
    """A corpus in the epochs of a training.

    Attributes:
        name: of the corpus.
        number: of its utterances.
        seconds: in each epoch.
    """

    name: str
    number: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.name} ({self.number} utterances) {self.seconds:.6f} s"


class EpochDraw:
    """Draws the utterances of each epoch: of each corpus so many seconds.

    A corpus is drawn from pass after pass: each pass has all its utterances in a random order of
    its own, and each epoch continues where the one before ended. So no utterance comes again
    before all have come, and up to every epoch the seconds of a corpus are those asked for, to
    less than an utterance. What an epoch has is a function of the arguments alone, which no
    number of ranks changes.

    Args:
        durations: (N,) seconds, corpus after corpus.
        shares: of the corpora, in this order.
        seed: of the orders.

    Raises:
        ConfigError: an epoch would be shorter than an utterance, and might have none, or would
            repeat a corpus more than a thousand times.
        ManifestError: a duration is negative or not finite.
    """

    def __init__(self, durations: ArrayLike, shares: Sequence[Share], seed: int) -> None:
        self.shares = tuple(shares)
        self.durations = as_durations(durations)
        self.seed = seed
        ticks = np.maximum(np.rint(self.durations * _TICKS), 1).astype(np.int64)
        ends = np.cumsum([share.number for share in shares])
        if not len(ends) or ends[-1] != len(ticks) or not all(share.number for share in shares):
            raise ValueError(
                f"shares must be of {len(ticks)} utterances, of each corpus at least one, but are"
                f" {self.shares}"
            )
        self._first: list[int] = [0, *ends[:-1].tolist()]
        self._ticks = [
            ticks[first : first + share.number]
            for first, share in zip(self._first, self.shares, strict=True)
        ]
        self._lengths = [max(1, round(share.seconds * _TICKS)) for share in self.shares]
        self._check()

    def _check(self) -> None:
        pairs = list(zip(self._lengths, self._ticks, strict=True))
        for share, (length, own) in zip(self.shares, pairs, strict=True):
            if length > _MOST_PASSES * int(own.sum()):
                raise ConfigError(
                    f"an epoch has {share.seconds / 3600:g} h of {share.name}, which has"
                    f" {own.sum() / _TICKS:g} s: lower its weight or hours, since it would be"
                    f" repeated more than {_MOST_PASSES} times"
                )
        if not any(length >= own.max() for length, own in pairs):
            seconds = sum(share.seconds for share in self.shares)
            raise ConfigError(
                f"an epoch of {seconds:g} s is shorter than an utterance: raise hours or"
                " epoch_hours of datasets.train"
            )

    def __call__(self, epoch: int) -> Indices:
        """The utterances (n,) of ``epoch``, as indices into ``durations``."""
        return np.concatenate(
            [first + each for first, each in zip(self._first, self.by_corpus(epoch), strict=True)]
        )

    def by_corpus(self, epoch: int) -> list[Indices]:
        """For each corpus its utterances of ``epoch``, as indices into the corpus."""
        return [self._stretch(place, epoch) for place in range(len(self.shares))]

    def seconds(self, epoch: int) -> list[float]:
        """The seconds of each corpus in ``epoch``."""
        return [
            float(own[each].sum()) / _TICKS
            for own, each in zip(self._ticks, self.by_corpus(epoch), strict=True)
        ]

    def _stretch(self, place: int, epoch: int) -> Indices:
        """The utterances of a corpus that begin in the stretch of ``epoch`` of its passes."""
        name, ticks, length = self.shares[place].name, self._ticks[place], self._lengths[place]
        whole = int(ticks.sum())
        start, end = epoch * length, (epoch + 1) * length
        taken: list[NDArray[np.intp]] = []
        for number in range(start // whole, (end - 1) // whole + 1):
            rng = np.random.default_rng(derive_seed(self.seed, "pass", name, number))
            order = rng.permutation(len(ticks))
            begins = np.cumsum(ticks[order]) - ticks[order]
            first, last = np.searchsorted(begins, (start - number * whole, end - number * whole))
            taken.append(order[first:last])
        return np.concatenate(taken)
