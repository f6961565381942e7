"""Language models as text: the ARPA format, read in blocks and written.

The format is that of D. Paul, "ngram-format(5)" of SRILM: a header with the number of n-grams of
each order, then a section for each, with base-10 logarithms. Lines of the highest order, and of
n-grams that nothing follows, may leave the back-off weight out.
"""

from __future__ import annotations

import codecs
import csv
import io
import lzma
import re
import warnings
from collections.abc import Callable, Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from deepspeech2.errors import ManifestError
from deepspeech2.files import whole_file
from deepspeech2.text.ngram.backoff import BEGIN, END, UNKNOWN, NGramOrder, NGramTables
from deepspeech2.text.ngram.texts import open_text, packing

_BLOCK = 1 << 25
_KENLM = b"mmap lm http"
_OTHER_UNKNOWN = "<UNK>"  # as SRILM writes it for some vocabularies
NO_PROBABILITY = -100.0
"""Base-10 logarithm of what a model without ``<unk>`` gives an unknown word, as in KenLM."""


def read_arpa(path: Path, *, key: Callable[[str], str] | None = None) -> NGramTables:
    """Read a model, which may be compressed with gzip, xz or bzip2.

    Args:
        path: the file.
        key: words get their ids in the order of ``key(word)``; None keeps the order of the file.

    Raises:
        ManifestError: the file is missing, cut off, or not in this format.
    """
    try:
        with open_text(path) as file:
            return _read(file, path, key)
    except FileNotFoundError:
        raise ManifestError(
            f"{path} does not exist: train a model with deepspeech2 train-lm, or name another"
        ) from None
    except (OSError, EOFError, lzma.LZMAError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path} cannot be read as an ARPA file: {error}") from error


def _read(file: IO[bytes], path: Path, key: Callable[[str], str] | None) -> NGramTables:
    counts = _header(file, path)
    words: list[str] = []
    index = pd.Index([])
    orders = []
    bar = tqdm(
        total=sum(counts), desc=f"reading {path.name}", unit="n-gram", unit_scale=True,
        disable=None, leave=False,
    )  # fmt: skip
    with bar:
        for n, blocks in groupby(_blocks(file, len(counts), path), key=itemgetter(0)):
            parts = []
            for _, block in blocks:
                frame = _parse(block, n, path)
                bar.update(len(frame))
                parts.append(frame if n == 1 else _with_ids(frame, n, index, path))
            frame = pd.concat(parts, ignore_index=True)
            if len(frame) != counts[n - 1]:
                raise ManifestError(
                    f"{path} is cut off or damaged: it contains {len(frame)} {n}-grams where its"
                    f" header says {counts[n - 1]}"
                )
            if n == 1:
                unigrams = set(frame["0"])
                other = UNKNOWN not in unigrams and _OTHER_UNKNOWN in unigrams
                unknown = _OTHER_UNKNOWN if other else UNKNOWN
                frame["0"] = frame["0"].replace(unknown, UNKNOWN)
                words, frame = _vocabulary(frame, key, path)
                spelt = [unknown if word == UNKNOWN else word for word in words]
                index = pd.Index(spelt, dtype=object)
            orders.append(_order(frame, n, len(words), path))
    return NGramTables(tuple(words), tuple(orders))


def _header(file: IO[bytes], path: Path) -> list[int]:
    """How many n-grams of each order the file says it has."""
    for line in file:
        if line.removeprefix(codecs.BOM_UTF8).strip() == b"\\data\\":
            break
        if line.startswith(_KENLM):
            raise ManifestError(
                f"{path} is a binary of KenLM, which depends on the machine: give the ARPA file"
                " that it was made from"
            )
        if len(line) > 1000:
            raise ManifestError(f"{path} is not an ARPA file: it does not begin with \\data\\")
    else:
        raise ManifestError(f"{path} is not an ARPA file: it has no line \\data\\")
    counts: list[int] = []
    for line in file:
        if not line.strip():
            if counts:
                break
            continue
        match = re.fullmatch(rb"ngram\s+(\d+)\s*=\s*(\d+)", line.strip())
        if match is None or int(match[1]) != len(counts) + 1:
            raise ManifestError(f"{path} is not an ARPA file: its header has the line {line!r}")
        counts.append(int(match[2]))
    if not counts:
        raise ManifestError(f"{path} is not an ARPA file: its header names no order")
    return counts


def _blocks(file: IO[bytes], n_orders: int, path: Path) -> Iterator[tuple[int, bytes]]:
    """The sections of all orders without their titles, in blocks of whole lines, at least one."""
    rest = b""
    for n in range(1, n_orders + 1):
        title = f"\\{n}-grams:"
        while not rest.strip():
            if not (rest := file.read(_BLOCK) + file.readline()):
                raise ManifestError(f"{path} is cut off: it has no section {title}")
        head, _, rest = rest.lstrip().partition(b"\n")
        if head.strip() != title.encode():
            raise ManifestError(f"{path} has {head[:50]!r} where {title} is due")
        end = b""
        while rest and not end:
            # a line that begins with a backslash ends the section; no n-gram's line does
            block, end, after = (b"\n" + rest).partition(b"\n\\")
            yield n, block[1:]
            rest = b"\\" + after if end else file.read(_BLOCK) + file.readline()
    if not rest.startswith(b"\\end\\"):
        raise ManifestError(f"{path} is cut off: its last line is not \\end\\")


def _parse(block: bytes, n: int, path: Path) -> pd.DataFrame:
    """Columns p, 0 ... n - 1 and b of the lines of a block."""
    names = ["p", *map(str, range(n)), "b"]
    kinds = {"p": np.float32, "b": np.float32} | {str(i): object for i in range(n)}
    if not block.strip():
        return pd.DataFrame({name: np.zeros(0, dtype=kinds[name]) for name in names})
    try:
        with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
            return pd.read_csv(
                io.BytesIO(block),
                sep=r"\s+",
                header=None,
                names=names,
                index_col=False,
                dtype=kinds,
                keep_default_na=False,
                na_values={"b": [""]},
                quoting=csv.QUOTE_NONE,
                encoding="utf-8",
            )
    except (ValueError, pd.errors.ParserWarning) as error:  # the warning: columns would be lost
        raise ManifestError(f"{path} has a line that is no {n}-gram: {error}") from error


def _with_ids(frame: pd.DataFrame, n: int, index: pd.Index, path: Path) -> pd.DataFrame:
    for name in map(str, range(n)):
        ids = index.get_indexer(pd.Index(frame[name]))
        if (ids < 0).any():
            word = frame[name].iloc[int(np.argmin(ids))]
            raise ManifestError(f"{path} has a {n}-gram with {word!r}, which is no 1-gram of it")
        frame[name] = ids.astype(np.int32)
    return frame


def _vocabulary(
    frame: pd.DataFrame, key: Callable[[str], str] | None, path: Path
) -> tuple[list[str], pd.DataFrame]:
    """The words in the order of their ids, and the 1-grams with ids."""
    words = [str(word) for word in frame["0"]]
    if len(set(words)) != len(words):
        twice = next(word for place, word in enumerate(words) if word in words[:place])
        raise ManifestError(f"{path} has the 1-gram {twice!r} twice")
    for needed, probability in ((BEGIN, -99.0), (END, NO_PROBABILITY), (UNKNOWN, NO_PROBABILITY)):
        if needed not in words:
            words.append(needed)
            row = pd.DataFrame({"p": [probability], "0": [needed], "b": [0.0]})
            frame = pd.concat([frame, row], ignore_index=True)
    ranked = sorted(range(len(words)), key=lambda i: (key(words[i]), words[i])) if key else None
    if ranked is not None:
        words = [words[i] for i in ranked]
        frame = frame.iloc[ranked].reset_index(drop=True)
    frame["0"] = np.arange(len(words), dtype=np.int32)
    return words, frame


def _order(frame: pd.DataFrame, n: int, n_words: int, path: Path) -> NGramOrder:
    highest = float(frame["p"].max()) if len(frame) else 0.0
    if not highest <= 0:
        raise ManifestError(
            f"{path} has a {n}-gram whose logarithm of a probability is {highest:g}, above 0: it is"
            " damaged, or no ARPA file"
        )
    ids = frame[list(map(str, range(n)))].to_numpy(dtype=np.int32)
    bits = max(1, (n_words - 1).bit_length())
    if n * bits <= 63:
        packed = np.zeros(len(ids), dtype=np.int64)
        for column in ids.T:
            packed = (packed << bits) | column
        ranked = np.argsort(packed, kind="stable")
    else:
        ranked = np.lexsort(ids.T[::-1])
    ids = ids[ranked]
    if len(ids) > 1 and (ids[1:] == ids[:-1]).all(axis=1).any():
        raise ManifestError(f"{path} has a {n}-gram twice")
    return NGramOrder(
        np.ascontiguousarray(ids),
        frame["p"].to_numpy(dtype=np.float32)[ranked],
        np.nan_to_num(frame["b"].to_numpy(dtype=np.float32)[ranked], nan=0.0),
    )


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
        weights = order.log10_backoff[rows].tolist()
        ends = [f"\t{weight:.7g}" for weight in weights] if with_backoff else [""] * len(weights)
        lines = zip(order.log10_probability[rows].tolist(), phrases, ends, strict=True)
        file.write("".join(f"{p:.7g}\t{phrase}{end}\n" for p, phrase, end in lines).encode())
