"""Reads damaged and hostile checkpoints: python -m tests.checkpoint.hostile COUNT [KIND …]

Each case is a file that is derived from a good one by its number alone. Processes that are forked
from a warm one read a hundred of them each, and watch what is opened, run and imported. A case
is right if it ends in one sentence or in a model that computes, within the seconds and the memory
that there are, and nothing but its own folder was touched.
"""

from __future__ import annotations

import inspect
import json
import os
import random
import resource
import signal
import sys
import tempfile
import traceback
import typing
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from deepspeech2 import checkpoint
from deepspeech2.checkpoint.onnx_file import OnnxStreamPipeline
from deepspeech2.errors import SpeechError, sentence
from deepspeech2.extras.interchange import convert, import_checkpoint
from deepspeech2.paths import ROOT
from deepspeech2.types import Padded
from deepspeech2.user_cache import user_folder
from tests.checkpoint.mutations import Draw

SECONDS = 20
MEMORY = 3 * 2**30  # bytes more than the warm process has
CACHE = str(user_folder() / "ngram")
TOGETHER = 100  # cases in a process
WATCHED = {
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.startfile", "subprocess.Popen",
    "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.chmod", "os.chown", "os.link",
    "os.symlink", "os.truncate", "os.utime", "os.listdir", "os.putenv", "shutil.copyfile",
    "shutil.rmtree", "shutil.unpack_archive", "socket.connect", "socket.getaddrinfo", "socket.bind",
    "pickle.find_class", "marshal.loads", "exec", "compile",
}  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        ending: of its name.
        good: its content.
        mutations: what may be done to that.
        reading: what is done with the file; raises SpeechError.
    """

    ending: str
    good: bytes
    mutations: tuple[Callable[[bytes, Draw], bytes], ...]
    reading: Callable[[Path], None]

    def case(self, number: int) -> bytes:
        draw = random.Random(number)
        content = draw.choice(self.mutations)(self.good, draw)
        for _ in range(draw.choice((0, 0, 0, 1))):
            content = self.mutations[0](content or b"x", draw)
        return content


def recognize(content: dict[str, Any], path: Path) -> None:
    """Restore it, and recognise a tenth of a second."""
    found = checkpoint.restore(content, path)
    rate = found.pipeline.front_end.sample_rate
    samples = torch.linspace(-1, 1, max(1, rate // 10))
    with torch.no_grad():
        found.decoder(found.pipeline.emissions(Padded.stack([samples])))
        if isinstance(found.pipeline, OnnxStreamPipeline):
            stream = found.pipeline.stream
            state, _ = stream.step(stream.start(), samples.repeat(9))
            stream.step(state, samples, last=True)


def load(path: Path) -> None:
    recognize(checkpoint.load(path), path)


def take_over(path: Path) -> None:
    """Import it, and recognise with what comes of it."""
    output = path.with_name("imported.pth")
    output.unlink(missing_ok=True)
    convert(path)
    import_checkpoint(path, output)
    load(output)


def run(
    kinds: dict[str, Kind], folder: Path, count: int, report: Callable[[str], Any]
) -> list[str]:
    """Read ``count`` cases of each kind below ``folder``; returns what was wrong, a case each."""
    wrong: list[str] = []
    "".encode("cp437")  # modules that are imported when they are needed: for names in archives,
    repr(torch.zeros(1))  # and for numbers in messages
    victim = folder / "victim"
    victim.write_text("mine")
    before = _state(victim)
    for name, kind in kinds.items():
        inside = folder / name
        inside.mkdir(exist_ok=True)
        known = {each.name for each in inside.iterdir()}
        kind.reading(_put(inside, kind.ending, kind.good))  # warms the process, too
        ends: Counter[str] = Counter()
        for number, end in _ends(kind, count, inside):
            ends[end.split(":")[0]] += 1
            if not end.startswith(("refused", "read")):
                wrong.append(f"{name} {number}: {end[:600]}")
                report(wrong[-1])
            if (number + 1) % 1000 == 0:
                report(f"{name}: {number + 1} cases, {dict(ends)}")
        report(f"{name}: {count} cases, {dict(ends)}")
        left = {each.name for each in inside.iterdir()} - known
        left -= {f"case{kind.ending}", "imported.pth", "ends"}
        if left or _state(victim) != before:
            wrong.append(f"{name}: files were touched: {left}")
    return wrong


def _state(path: Path) -> tuple[Any, ...]:
    status = path.stat()
    return status.st_mode, status.st_mtime_ns, status.st_nlink, path.read_bytes()


def _put(folder: Path, ending: str, content: bytes) -> Path:
    path = folder / f"case{ending}"
    path.write_bytes(content)
    return path


def _ends(kind: Kind, count: int, folder: Path) -> Iterable[tuple[int, str]]:
    """How each case ended; a process that dies costs the case that it was at."""
    number = 0
    record = folder / "ends"
    while number < count:
        record.write_bytes(b"")
        child = os.fork()
        if child == 0:
            _child(kind, range(number, min(count, number + TOGETHER)), folder, record)
        _, status = os.waitpid(child, 0)
        lines = record.read_text().splitlines()
        for line in lines:
            yield number, json.loads(line)
            number += 1
        if status and number < count:
            yield number, f"died: status {status}"
            number += 1


def _child(kind: Kind, numbers: Iterable[int], folder: Path, record: Path) -> None:
    """Read cases in this process, and end it."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("error")
    seen: list[str] = []
    sys.addaudithook(lambda event, arguments: _watch(event, arguments, folder, seen))
    status = 1
    try:
        with record.open("a") as file:
            for number in numbers:
                path = _put(folder, kind.ending, kind.case(number))
                seen.clear()
                signal.setitimer(signal.ITIMER_PROF, SECONDS)  # of the processor
                signal.alarm(9 * SECONDS)
                end = _end(kind, path)
                signal.setitimer(signal.ITIMER_PROF, 0)
                signal.alarm(0)
                file.write(json.dumps(f"touched: {seen[:3]}" if seen else end) + "\n")
                file.flush()
        status = 0
    finally:
        os._exit(status)


def _end(kind: Kind, path: Path) -> str:
    try:
        kind.reading(path)
        return "read"
    except SpeechError as error:
        told = sentence(error)
        return "refused" if told.isprintable() and len(told) < 2000 else f"sentence: {told!r}"
    except Exception as error:  # whatever it is, the case is wrong
        place = traceback.extract_tb(error.__traceback__)[-1]
        mine = [
            each for each in traceback.extract_tb(error.__traceback__) if "/src/" in each.filename
        ]
        return f"traceback: {error!r:.300} at {mine[-1:]} {place.filename}:{place.lineno}"


def _watch(event: str, arguments: tuple[Any, ...], folder: Path, seen: list[str]) -> None:
    if event == "open":
        path, mode, flags = arguments
        if isinstance(path, int):
            return
        place = os.path.abspath(os.fsdecode(path))
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        own = place.startswith(f"{folder}/")
        known = place.startswith((sys.prefix, sys.base_prefix, str(ROOT), "/usr/lib", "/proc/self"))
        own = own or place.startswith(f"{CACHE}/")  # of language models that were read
        if not own and (writes or not known):
            seen.append(f"open {place} {mode}")
    elif event in ("compile", "exec") and _of_annotation():
        return
    elif event == "import":
        seen.append(f"import {arguments[0]}")
    elif event in WATCHED and not f"{[*arguments, ''][0]}/".startswith((f"{folder}/", CACHE)):
        seen.append(f"{event} {str(arguments)[:100]}")


def _of_annotation() -> bool:
    """Whether typing evaluates an annotation of ours; no file is read into one."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_filename != typing.__file__:
        frame = frame.f_back
    return frame is not None


def main(words: list[str]) -> int:
    from tests.checkpoint.kinds import kinds

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        chosen = {k: kind for k, kind in kinds(folder).items() if k in words[1:] or not words[1:]}
        wrong = run(chosen, folder, int(words[0]), lambda line: print(line, flush=True))
    print(f"{len(wrong)} wrong")
    return min(1, len(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
