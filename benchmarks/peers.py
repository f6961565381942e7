"""Other packages' CTC beam searches without a language model, behind one call.

Each takes a list of (T_i, V) float32 log-probabilities on the host, the blank first, and returns
their texts. What a peer wants in another form (probabilities, an array) is made within the call,
for a user of it pays for that too.

| name | what it leaves out |
| --- | --- |
| `flashlight-text` | nothing; two beams for a prefix, with and without a blank at its end |
| `fast-ctc-decode` | nothing: it looks at every label, as our search does |
| `fast-ctc-decode, cut 0.001` | labels less probable than this: most frames have one or two |
| `pyctcdecode` | as it comes: labels below e^-5 but the best, beams e^-10 behind the best |
| `pyctcdecode, unpruned` | nothing |
"""

from __future__ import annotations

import importlib.util
import logging
import math
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from typing import Any, Protocol

import torch
from torch import Tensor

from deepspeech2.text import TextEncoder


class Decode(Protocol):
    """Texts of (T_i, V) log-probabilities."""

    def __call__(self, log_probs: Sequence[Tensor]) -> list[str]: ...


class Factory(Protocol):
    """Makes one for an alphabet; can be sent to another process."""

    def __call__(self, text_encoder: TextEncoder, *, beam_size: int) -> Decode: ...


class Flashlight:
    """flashlight-text's lexicon-free search, bare: no frames, no confidences.

    Args:
        text_encoder: the alphabet.
        beam_size: beams to keep.
        beam_threshold: nats behind the best at which a beam is dropped.
    """

    def __init__(
        self, text_encoder: TextEncoder, *, beam_size: int, beam_threshold: float = math.inf
    ) -> None:
        from flashlight.lib.text import decoder as library

        self.text_encoder = text_encoder
        self.model = library.ZeroLM()  # the search refers to it without owning it
        options = library.LexiconFreeDecoderOptions(
            beam_size=beam_size,
            beam_size_token=text_encoder.n_tokens,
            beam_threshold=beam_threshold,
            lm_weight=0.0,
            sil_score=0.0,
            log_add=True,
            criterion_type=library.CriterionType.CTC,
        )
        self.search = library.LexiconFreeDecoder(options, self.model, -1, text_encoder.blank, [])

    def __call__(self, log_probs: Sequence[Tensor]) -> list[str]:
        return [self._text(frames.contiguous()) for frames in log_probs]

    def _text(self, frames: Tensor) -> str:
        path = self.search.decode(frames.data_ptr(), *frames.shape)[0].tokens[1:-1]
        blank = self.text_encoder.blank
        labels = [token for token, _ in groupby(path) if token != blank]
        return spaced(self.text_encoder.decode(labels))


class FastCtcDecode:
    """fast-ctc-decode's prefix search, which works on probabilities.

    Args:
        text_encoder: the alphabet.
        beam_size: beams to keep.
        cut_threshold: labels less probable than this are not looked at.
    """

    def __init__(
        self, text_encoder: TextEncoder, *, beam_size: int, cut_threshold: float = 0.0
    ) -> None:
        import fast_ctc_decode

        self.search = partial(
            fast_ctc_decode.beam_search,
            alphabet=["<blank>", *text_encoder.alphabet],
            beam_size=beam_size,
            beam_cut_threshold=cut_threshold,
        )

    def __call__(self, log_probs: Sequence[Tensor]) -> list[str]:
        # It refuses an utterance without frames.
        return [
            spaced(self.search(frames.exp().numpy())[0]) if len(frames) else ""
            for frames in log_probs
        ]


class Pyctcdecode:
    """pyctcdecode without a language model.

    Args:
        text_encoder: the alphabet.
        beam_size: beams to keep.
        prunes: leave out what it leaves out by default.
    """

    def __init__(self, text_encoder: TextEncoder, *, beam_size: int, prunes: bool = True) -> None:
        # It warns that there is no language model, and that the alphabet is of single letters.
        logging.getLogger("pyctcdecode").setLevel(logging.ERROR)
        import pyctcdecode

        limits = {} if prunes else {"token_min_logp": -math.inf, "beam_prune_logp": -math.inf}
        decoder = pyctcdecode.build_ctcdecoder(["", *text_encoder.alphabet])
        self.search = partial(decoder.decode, beam_width=beam_size, **limits)

    def __call__(self, log_probs: Sequence[Tensor]) -> list[str]:
        return [spaced(self.search(frames.numpy())) if len(frames) else "" for frames in log_probs]


def available() -> dict[str, Factory]:
    """The peers that are installed, by name."""
    known: list[tuple[str, str, Factory]] = [
        ("flashlight-text", "flashlight", Flashlight),
        ("fast-ctc-decode", "fast_ctc_decode", FastCtcDecode),
        (
            "fast-ctc-decode, cut 0.001",
            "fast_ctc_decode",
            partial(FastCtcDecode, cut_threshold=1e-3),
        ),
        ("pyctcdecode", "pyctcdecode", Pyctcdecode),
        ("pyctcdecode, unpruned", "pyctcdecode", partial(Pyctcdecode, prunes=False)),
    ]
    return {name: make for name, package, make in known if importlib.util.find_spec(package)}


@contextmanager
def over_processes(
    make: Callable[[], Decode], processes: int, *, start: str = "spawn"
) -> Iterator[Decode]:
    """The same call, shared among processes of one thread each.

    All of them have made their decoder when the context is entered, so that only decoding and
    the way of the arrays to the processes are timed. Usable under ``__name__ == "__main__"``.

    >>> make = partial(Flashlight, TextEncoder(), beam_size=10)  # doctest: +SKIP
    >>> with over_processes(make, 2) as decode:  # doctest: +SKIP
    ...     decode(utterances)

    Args:
        make: makes a decoder; picklable.
        processes: how many.
        start: how they start; ``fork`` is quicker, but unsafe where this process has threads.
    """
    context = multiprocessing.get_context(start)
    ready = context.Barrier(processes + 1)
    with context.Pool(processes, _begin, (make, ready)) as pool:
        ready.wait(timeout=120)

        def decode(log_probs: Sequence[Tensor]) -> list[str]:
            # Arrays, since each tensor would bring a shared memory file of its own.
            arrays = [frames.numpy() for frames in log_probs]
            chunk = max(1, len(arrays) // (8 * processes))
            return pool.map(_decode, arrays, chunksize=chunk)

        yield decode


_mine: Decode | None = None


def _begin(make: Callable[[], Decode], ready: Any) -> None:
    global _mine
    torch.set_num_threads(1)
    _mine = make()
    ready.wait()


def _decode(frames: Any) -> str:
    assert _mine is not None
    return _mine([torch.from_numpy(frames)])[0]


def spaced(text: str) -> str:
    """The text with single spaces between words and none around them."""
    return " ".join(text.split())
