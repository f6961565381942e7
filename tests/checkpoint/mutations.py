"""Ways to damage a file, each a function of a random generator."""

from __future__ import annotations

import copy
import io
import itertools
import json
import math
import pickletools
import random
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Draw = random.Random

LEAVES: list[Any] = [
    None, True, False, 0, -1, 1, 3, 2**16, 2**31, 2**63 - 1, -(2**63), 10**30, 0.5, -0.0, 1e308,
    math.nan, math.inf, -math.inf, "", "x", "a" * 200_000, "\x1b[2J\n\x07", "\ud800", "\u202e",
    "../..", "/dev/zero", "NoNormalization", "GreedyDecoder", "os.system", b"bytes", [], {}, [[]],
    [None], (1, 2), [0, 0], ["a"], [1] * 100_000, {"a": 1}, {"name": "DeepSpeech2"}, {1: 2},
    {"": {}},
]  # fmt: skip
OPCODES = [each.code.encode("latin-1") for each in pickletools.opcodes]
SNIPPETS = [
    b"cos\nsystem\n(X\x05\0\0\0touchtR", b"cbuiltins\neval\n(X\x01\0\0\0atR", b"csys\nexit\n)R",
    b"ctorch\nload\n(X\x01\0\0\0atR", b"ctorch._utils\n_rebuild_tensor_v2\n}X\x01\0\0\0aK\x01sb",
    b"ctorch._dynamo\nx\n", b"cmodel\nNetwork\n)\x81}b",
    b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\1\0\0\x000X\3\0\0\0cpuJ\xff\xff\xff\x7ftQ",
    b"X\x06\0\0\0moduleQ", b"P0\n", b"\x82\x01", b"iposix\nsystem\n",
    b"]\x94h\0a", b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x8b\xff\xff\xff\x7f",
    b"r\xff\xff\xff\xff",
]  # fmt: skip


def bits(content: bytes, draw: Draw) -> bytes:
    """A few bits are flipped, at the beginning and the end more often."""
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 8, 64))):
        reach = draw.choice((64, 4096, len(changed)))
        place = draw.randrange(min(reach, len(changed)))
        changed[draw.choice((place, -1 - place))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def cut(content: bytes, draw: Draw) -> bytes:
    return content[: draw.choice((0, 1, 4, 30, draw.randrange(len(content)), len(content) - 1))]


def splice(content: bytes, draw: Draw) -> bytes:
    """A stretch is doubled, removed, or overwritten with one byte or with another stretch."""
    a, b = sorted(draw.randrange(len(content) + 1) for _ in range(2))
    b = min(b, a + draw.choice((1, 8, 300, 10**6)))
    c = draw.randrange(len(content))
    other = content[c : c + b - a]
    middle = draw.choice((content[a:b] * 2, b"", bytes(b - a), b"\xff" * (b - a), other))
    return content[:a] + middle + content[b:]


def around(content: bytes, draw: Draw) -> bytes:
    """Something stands before it or behind it."""
    return draw.choice(
        (content[:100] + content, content + content[-100:], content * 2, b"MZ" + content)
    )


def lines(content: bytes, draw: Draw) -> bytes:
    """Lines of a text are removed, doubled or exchanged, or a word of one is another."""
    rows = content.split(b"\n")
    for _ in range(draw.choice((1, 1, 2, 9))):
        place, other = draw.randrange(len(rows)), draw.randrange(len(rows))
        words = rows[place].split() or [b""]
        words[draw.randrange(len(words))] = draw.choice((
            b"nan", b"inf", b"-inf", b"1e999", b"-99", b"7", b"0", b"-1", b"99999999999", b"<s>",
            b"</s>", b"<unk>", b"abc", b"", b"\xff", b"1=999999999999", b"3=2", b"\\end\\",
            b"x" * 9999,
        ))  # fmt: skip
        rows[place] = draw.choice((rows[other], b"\t".join(words), b" ".join(words)))
    return b"\n".join(rows)


def fields(content: bytes, draw: Draw) -> bytes:
    """A number in a header of a zip archive is another one, or an entry is named as another is."""
    marks = (b"PK\3\4", b"PK\1\2", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"PK\7\x08")
    mark = draw.choice(marks)
    places = [p for p in range(len(content)) if content.startswith(mark, p)]
    place = draw.choice(places or [0]) + draw.randrange(4, 60)
    number = draw.choice((0, 1, 8, 0xFFFF, 0xFFFFFFFF, len(content), draw.randrange(2**32)))
    changed = bytearray(content + bytes(80))
    struct.pack_into("<I", changed, place, number)
    if draw.random() < 0.2:
        return content.replace(b"data/1", b"data/0", draw.choice((1, 2)))
    return bytes(changed[: len(content)])


def entries(change: Callable[[dict[str, bytes], Draw], None]) -> Callable[[bytes, Draw], bytes]:
    """The archive anew, with right checksums, after a change of its entries."""

    def changed(content: bytes, draw: Draw) -> bytes:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            found = {name: archive.read(name) for name in archive.namelist()}
        change(found, draw)
        file = io.BytesIO()
        method = draw.choice((zipfile.ZIP_STORED,) * 15 + (zipfile.ZIP_DEFLATED,))
        with zipfile.ZipFile(file, "w", method) as archive:
            for name, each in found.items():
                archive.writestr(name, each)
        return file.getvalue()

    return changed


def _pickle(found: dict[str, bytes], draw: Draw) -> None:
    name = next(each for each in found if each.endswith("data.pkl"))
    found[name] = instructions(found[name], draw)


def _entry(found: dict[str, bytes], draw: Draw) -> None:
    name = draw.choice(list(found))
    how = draw.randrange(5)
    if how == 0:
        del found[name]
    elif how == 1:
        found[
            draw.choice(("archive/constants.pkl", "../x", "/x", "archive/data.pkl/", "a/data.pkl"))
        ] = b""
    elif how == 2:
        found[name] = bits(found[name] or b"x", draw)
    elif how == 3:
        found[name] = found[name] + b"\0" * draw.choice((1, 4, 4096))
    else:
        found[name] = found[name][: len(found[name]) // 2]


def instructions(pickled: bytes, draw: Draw) -> bytes:
    """Instructions of a pickle are removed, doubled, exchanged, or followed by hostile ones."""
    places = [place or 0 for _, _, place in pickletools.genops(pickled)] + [len(pickled)]
    parts = [pickled[a:b] for a, b in itertools.pairwise(places)]
    for _ in range(draw.choice((1, 1, 2, 5))):
        place = draw.randrange(len(parts))
        how = draw.randrange(6)
        if how == 0:
            del parts[place]
        elif how == 1:
            parts.insert(place, parts[draw.randrange(len(parts))])
        elif how == 2:
            parts[place] = draw.choice(OPCODES) + parts[place][1:]
        elif how == 3:
            parts.insert(place, draw.choice(SNIPPETS))
        elif how == 4:
            parts[place] = draw.choice(SNIPPETS)
        elif len(parts[place]) > 1:
            parts[place] = parts[place][:1] + bits(parts[place][1:], draw)
    return b"".join(parts)


def value(tree: Any, draw: Draw) -> Any:
    """A copy of containers in which one value is another, absent, or under another name."""
    changed = copy.deepcopy(tree)
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        node, keys = changed, []
        while True:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            if not keys:
                break
            key = draw.choice(keys)
            if isinstance(node[key], dict | list) and node[key] and draw.random() < 0.9:
                node = node[key]
                continue
            _change(node, key, draw)
            break
    return changed


def _change(node: Any, key: Any, draw: Draw) -> None:
    how = draw.randrange(8)
    if how == 0:
        del node[key]
    elif how == 1 and isinstance(node, dict):
        node[draw.choice(("", "x", f"{key}x", "\x1b[2J", "onnx", "stream"))] = node.pop(key)
    elif how == 2 and isinstance(node, dict):
        node[draw.choice(("x", "onnx", "stream", "name", "hotwords", "lm"))] = copy.deepcopy(
            draw.choice(LEAVES)
        )
    elif isinstance(node[key], Tensor):
        node[key] = _tensor(node[key], draw)
    else:
        node[key] = copy.deepcopy(draw.choice(LEAVES))


def _tensor(given: Tensor, draw: Draw) -> Any:
    return draw.choice((
        given[None], given.reshape(-1), given[:0] if given.ndim else given, given.long(),
        given.half(), given * math.nan, given.double(),
        given.T if given.ndim == 2 else given.bool(),
        torch.zeros(()), torch.zeros(0), None, 3, [1.0],
        torch.zeros(1).expand(2**20),
    ))  # fmt: skip


def of_torch(tree: Any, *path: str) -> Callable[[bytes, Draw], bytes]:
    """A value is another: anywhere, or below the keys of ``path``."""

    def changed(content: bytes, draw: Draw) -> bytes:
        file = io.BytesIO()
        new = draw.random() < 0.9
        torch.save(_below(path, tree, draw), file, _use_new_zipfile_serialization=new)
        return file.getvalue()

    return changed


def _below(path: tuple[str, ...], tree: Any, draw: Draw) -> Any:
    if not path:
        return value(tree, draw)
    return {**tree, path[0]: _below(path[1:], tree[path[0]], draw)}


def of_json(told: str, put: Callable[[str], bytes]) -> Callable[[bytes, Draw], bytes]:
    """Metadata in JSON are changed, as values or as text."""

    def changed(content: bytes, draw: Draw) -> bytes:
        text = json.dumps(value(json.loads(told), draw), default=str)
        if draw.random() < 0.2:
            place = draw.randrange(len(text))
            text = (
                text[:place]
                + draw.choice(("", "[" * 2000, "}", "1" * 5000, "\\ud800", '"'))
                + text[place + 1 :]
            )
        return put(text)

    return changed


BYTES = (bits, cut, splice, around)
ARCHIVE = (
    *BYTES,
    fields,
    fields,
    entries(_pickle),
    entries(_pickle),
    entries(_pickle),
    entries(_entry),
)
