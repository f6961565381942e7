"""Values of the command line that Hydra's grammar has no words for, as file names often are."""

from __future__ import annotations

import re
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from deepspeech2.paths import at_home, resolve

_KEY = re.compile(r"[+\w.@/]+")
_MEANS_MORE = re.compile(r"[^\w./-]|[^\x00-\x7f]")  # than itself, to Hydra
_PLACES = (
    r"audio|checkpoints|directory|folder|from_pretrained|lexicon|lm|output|path|prior|resume_from"
    r"|transcripts|\w+_dir"
)
_FROM_HERE = re.compile(rf"(.*\.)?({_PLACES})|(preview|robustness)\.save_path")
"""Keys whose values are paths that count from the current folder if they exist there."""
_PATHS = re.compile(rf"(.*\.)?({_PLACES}|manifest|part|run_name|save_path)")
"""Keys whose values name files and folders, also those that count from a folder of their own."""
_NO_PATHS = {"-", "auto", "microphone"}
_TEXTS = re.compile(
    rf"{_PATHS.pattern}|(.*\.)?(configuration|hotwords|precision|project|revision|run_id|speakers)"
)
"""Keys whose values are texts, also where they look like numbers."""
_ENTRY = r"[^,\[\]{}]+?(?=\s*[,\]}])"
_ENTRIES = {"[": re.compile(rf"([\[,]\s*)({_ENTRY})"), "{": re.compile(rf"(:\s*)({_ENTRY})")}
_IN_QUOTES = re.compile(r"""'[^'\\]*'|"[^"\\]*\"""")
_LIST = re.compile(r"\[([^\[\]{}]*)\]")


def unreferenced(text: str) -> str:
    """``text`` as a config contains it so that ``${`` in it is text, and no reference."""
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", text)


def quoted(word: str) -> str:
    """``KEY=VALUE`` with the value in quotes where it must be a text.

    That is where Hydra cannot read it, as in ``audio=My talk (1).mp3``, and where it names
    something that exists, as ``audio=a,b.mp3`` may. In a path, ``${`` is text too. A relative
    path that exists in the current folder counts from there, and is made absolute.
    """
    key, equals, value = word.partition("=")
    if not equals or not _KEY.fullmatch(key):
        return word
    if _FROM_HERE.fullmatch(key.lstrip("+")):
        value = _from_here(value)
        word = f"{key}={value}"
    if _TEXTS.fullmatch(key.lstrip("+")) and _contains_numbers(word):
        return f"{key}={_each(value)}"
    if not _MEANS_MORE.search(value):
        return word
    exists = _exists(resolve(value))
    if exists or _PATHS.fullmatch(key.lstrip("+")):
        value = unreferenced(value)
        word = f"{key}={value}"
    if _readable(word) and not exists:
        return word
    return f"{key}={in_quotes(value) if exists else _each(value)}"


def _from_here(value: str) -> str:
    """A path, or a list or mapping of them: absolute where they exist in the current folder."""
    whole = _absolute(value)
    if whole or value[:1] not in _ENTRIES:
        return whole or value

    def entry(found: re.Match[str]) -> str:
        path = _absolute(found[2])
        return found[1] + (in_quotes(path) if path else found[2])

    return _ENTRIES[value[0]].sub(entry, value)


def _absolute(text: str) -> str | None:
    """None for what does not exist in the current folder, or counts from there anyhow."""
    plain = text[1:-1] if _IN_QUOTES.fullmatch(text) else text
    here = at_home(plain)
    if plain in _NO_PATHS or not plain or not _exists(here) or here.absolute() == resolve(plain):
        return None
    return str(here.absolute())


def in_quotes(value: str) -> str:
    """``value`` as Hydra reads it as a text."""
    escaped = re.sub(
        r"(\\*)('|$)", lambda found: 2 * found[1] + found[2].replace("'", r"\'"), value
    )
    return f"'{escaped}'"


def _each(value: str) -> str:
    """A text in quotes, or a list with each of its entries in quotes."""
    found = _LIST.fullmatch(value.strip())
    if not found:
        return in_quotes(value)
    entries = [entry.strip() for entry in found[1].split(",")]
    return f"[{','.join(_in_quotes_once(entry) for entry in entries)}]"


def _in_quotes_once(entry: str) -> str:
    return entry if entry == "null" or _IN_QUOTES.fullmatch(entry) else in_quotes(entry)


def _contains_numbers(word: str) -> bool:
    """Whether Hydra reads a number or a truth value where a text is meant."""
    try:
        value = OverridesParser.create().parse_override(word).value()
    except HydraException:
        return False
    entries = value if isinstance(value, list) else [value]
    return any(isinstance(entry, int | float) for entry in entries)


def _readable(word: str) -> bool:
    try:
        OverridesParser.create().parse_override(word)
    except HydraException:
        return False
    return True


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long for a path, or no path at all
        return False
