"""What a pass found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from deepspeech2.decoding import Decoder
from deepspeech2.evaluation.budget import ErrorBudget
from deepspeech2.metrics import CorpusScore
from deepspeech2.metrics.edits import word_edits
from deepspeech2.types import Failure, Hypothesis, Utterance


@dataclass(frozen=True, slots=True)
class Recognized:
    """An utterance and what each decoder heard.

    Attributes:
        reference: the normalised transcript; None if there is none.
        hypotheses: for each decoder's name its n-best list, best first, never empty.
        budgets: for each decoder's name what its errors are owed to, where that was asked for.
    """

    utterance: Utterance
    reference: str | None
    hypotheses: dict[str, list[Hypothesis]]
    budgets: dict[str, ErrorBudget] = field(default_factory=dict)


@dataclass(slots=True)
class Evaluation:
    """What a pass found.

    Attributes:
        scores: for each decoder's name the edits over all utterances that have a reference.
        oracles: the same for the best hypothesis of each n-best list.
        several: for each decoder's name whether any of its lists had several.
        budgets: for each decoder's name what its errors are owed to, where that was asked for.
        hot: for each decoder's name the hot phrases that it heard, and in how many utterances.
        total, count: the loss of those utterances in nats, and their characters.
        results: every utterance, unless the caller took them one by one.
        failures: utterances whose audio could not be read.
        complete: false if the pass was called off.
    """

    scores: dict[str, CorpusScore]
    total: float = 0.0
    count: float = 0.0
    results: list[Recognized] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    complete: bool = True
    oracles: dict[str, CorpusScore] = field(default_factory=dict)
    several: dict[str, bool] = field(default_factory=dict)
    budgets: dict[str, ErrorBudget] = field(default_factory=dict)
    hot: dict[str, Counter[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, decoders: Sequence[Decoder], *, budget: bool = False) -> Evaluation:
        """Nothing yet, with a place for each decoder."""
        names = [decoder.name for decoder in decoders]
        return cls(
            {name: CorpusScore() for name in names},
            oracles={name: CorpusScore() for name in names},
            several=dict.fromkeys(names, False),
            budgets={name: ErrorBudget() for name in names} if budget else {},
            hot={decoder.name: Counter() for decoder in decoders if decoder.hotwords},
        )

    def score(self, reference: str, heard: Mapping[str, Sequence[str]]) -> None:
        """Count an utterance: for each decoder's name the texts of its n-best list."""
        for name, texts in heard.items():
            self.scores[name].add(reference, texts[0])
            best = min(texts, key=lambda text: word_edits(reference, text).errors)
            self.oracles[name].add(reference, best)
            self.several[name] |= len(texts) > 1

    def account(self, budgets: Mapping[str, ErrorBudget]) -> None:
        """Count what an utterance's errors are owed to, for each decoder that is asked about."""
        for name in self.budgets.keys() & budgets.keys():
            self.budgets[name] += budgets[name]

    @classmethod
    def merged(cls, parts: Sequence[Evaluation]) -> Evaluation:
        """The parts of several ranks as one."""
        whole = cls(dict(parts[0].scores), complete=all(part.complete for part in parts))
        whole.oracles, whole.budgets = dict(parts[0].oracles), dict(parts[0].budgets)
        whole.several = dict(parts[0].several)
        whole.hot = {name: Counter(heard) for name, heard in parts[0].hot.items()}
        for part in parts[1:]:
            for name, score in part.scores.items():
                whole.scores[name] += score
            for name, score in part.oracles.items():
                whole.oracles[name] += score
                whole.several[name] |= part.several[name]
            for name, owed in part.budgets.items():
                whole.budgets[name] += owed
            for name, heard in part.hot.items():
                whole.hot[name] += heard
        for part in parts:
            whole.total += part.total
            whole.count += part.count
            whole.results.extend(part.results)
            whole.failures.extend(part.failures)
        return whole

    @property
    def loss(self) -> float | None:
        """Nats per character; None without references."""
        return self.total / self.count if self.count else None

    def values(self) -> dict[str, float]:
        """Metrics by their logged names, without the part: ``WER_(Argmax)``, ``loss``."""
        loss = self.loss
        named = {} if loss is None else {"loss": loss}
        for name, score in self.scores.items():
            if score.utterances:
                named[f"WER_({name})"] = score.wer
                named[f"CER_({name})"] = score.cer
        return named
