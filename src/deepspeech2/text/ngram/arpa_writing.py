"""Language models as text: writing the ARPA format."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from deepspeech2.files import whole_file
from deepspeech2.text.ngram.files import packing
from deepspeech2.text.ngram.tables import NGramOrder, NGramTables


def write_arpa(tables: NGramTables, path: Path) -> None:
    """Write a model, whole or not at all; a name that ends in ``.gz`` is compressed."""
    words = np.array(tables.words, dtype=object)
    with whole_file(path) as plain, packing(plain, path) as file:
        file.write(b"\\data\\\n")
        for n, order in enumerate(tables.orders, start=1):
            file.write(f"ngram {n}={len(order.ids)}\n".encode())
        for n, order in enumerate(tables.orders, start=1):
            file.write(f"\n\\{n}-grams:\n".encode())
            _write_order(file, order, words, with_backoff=n < len(tables.orders))
        file.write(b"\n\\end\\\n")


def _write_order(
    file: IO[bytes], order: NGramOrder, words: NDArray[np.object_], *, with_backoff: bool
) -> None:
    for start in range(0, len(order.ids), 1 << 18):
        rows = slice(start, start + (1 << 18))
        phrases = words[order.ids[rows, 0]]
        for column in order.ids[rows, 1:].T:
            phrases = phrases + " " + words[column]
        probabilities = order.log10_probability[rows].tolist()
        if with_backoff:
            weights = order.log10_backoff[rows].tolist()
            lines = zip(probabilities, phrases, weights, strict=True)
            file.write("".join(f"{p:.7g}\t{w}\t{b:.7g}\n" for p, w, b in lines).encode())
        else:
            pairs = zip(probabilities, phrases, strict=True)
            file.write("".join(f"{p:.7g}\t{w}\n" for p, w in pairs).encode())
