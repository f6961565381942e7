"""Long recordings and their texts become a corpus, from the command line."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from deepspeech2 import plugins
from deepspeech2.audio.reading import AUDIO_SUFFIXES, probe
from deepspeech2.commands.model_options import add_model_options
from deepspeech2.errors import ConfigError, ManifestError, SpeechError, run_command, sentence
from deepspeech2.escaping import one_line
from deepspeech2.extras.segmentation.corpus import Found, Talk, collect, require_own, segment
from deepspeech2.extras.segmentation.cutting import TRANSLITERATED_CER, Limits
from deepspeech2.extras.segmentation.page import clock
from deepspeech2.extras.segmentation.text import TEXT_SUFFIXES
from deepspeech2.files import alone, safe_name
from deepspeech2.inference import Recognizer
from deepspeech2.paths import typed
from deepspeech2.progress import AudioBar

_NAMED = 5  # words that cannot be aligned and are printed


def main(arguments: Sequence[str] | None = None) -> int:
    """Cut recordings into utterances with their texts; returns the exit status."""
    limits = Limits()
    parser = argparse.ArgumentParser(
        description="Cut long recordings into utterances with their texts, and keep what agrees."
    )
    parser.add_argument(
        "paths",
        nargs="+",
        type=typed,
        metavar="AUDIO TEXT or FOLDER",
        help=f"a recording and its text ({', '.join(TEXT_SUFFIXES)}), or a folder of such pairs",
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FOLDER", help="the folder of the corpus"
    )
    add_model_options(parser)
    parser.add_argument("--speaker", help="of all recordings (default: each its own)")
    parser.add_argument(
        "--spell-out", metavar="LANGUAGE", help="whose words numbers are read in, as en"
    )
    parser.add_argument(
        "--transliterate",
        action="store_true",
        help="align letters that the model lacks by those that sound most alike; texts keep them",
    )
    for option, default, about in (
        ("--min-duration", limits.shortest, "seconds"),
        ("--max-duration", limits.longest, "seconds"),
        ("--pause", limits.pause, "seconds of a pause at which is cut"),
        ("--min-score", limits.score, "of a segment, 0 is best"),
        ("--min-word-score", limits.word, "of each of its words"),
        ("--max-unwritten", limits.unwritten, "price of what is heard between two words"),
    ):
        parser.add_argument(
            option, type=float, default=default, metavar="X", help=f"{about} (default: %(default)s)"
        )
    parser.add_argument(
        "--max-cer",
        type=float,
        metavar="X",
        help="character error rate of what is heard"
        f" (default: {limits.cer}, with --transliterate {TRANSLITERATED_CER})",
    )
    options = parser.parse_args(arguments)
    return run_command(lambda: _segment(options))


def _segment(options: argparse.Namespace) -> int:
    plugins.load(options.plugin)
    cer = TRANSLITERATED_CER if options.transliterate else Limits().cer
    limits = Limits(
        options.min_duration,
        options.max_duration,
        options.pause,
        options.min_score,
        options.min_word_score,
        options.max_unwritten,
        cer if options.max_cer is None else options.max_cer,
    )
    talks = find_talks(options.paths, options.speaker)
    output: Path = options.output
    output.mkdir(parents=True, exist_ok=True)
    failed = 0
    with alone(output / "corpus"):
        require_own(output)
        recognizer = Recognizer.from_checkpoint(options.checkpoint, device=options.device)
        for talk in talks:
            place = output / talk.folder
            if place.exists():
                print(one_line(f"{place} is there already and is kept: remove it to make it anew"))
                continue
            try:
                with AudioBar(probe(talk.audio, partial=True).duration, talk.name) as bar:
                    found = segment(
                        talk,
                        output,
                        recognizer,
                        limits,
                        spell_out=options.spell_out,
                        transliterate=options.transliterate,
                        on_progress=bar.advance,
                    )
            except SpeechError as error:
                if len(talks) == 1:
                    raise
                failed += 1
                print(one_line(f"left out: {talk.audio}: {sentence(error)}"))
                continue
            failed += found.fault is not None
            _report(talk, found)
            collect(output)
        rows = collect(output)
    kept = [row for row in rows if row["kept"]]
    hours = sum(row["duration"] for row in kept) / 3600
    print(one_line(f"{output}: {len(kept)} utterances, {hours:.2f} h"))
    return 1 if failed else 0


def _report(talk: Talk, found: Found) -> None:
    kept = sum(row["duration"] for row in found.rows if row["kept"])
    print(one_line(f"{talk.audio}: {kept:.0f} of {found.seconds:.0f} s kept"))
    left: Counter[str] = Counter()
    for row in found.rows:
        if not row["kept"]:
            left[row["why"]] += row["duration"]
    for why, seconds in left.most_common():
        print(f"  {seconds:.0f} s left out: {why}")
    if found.unsearched:
        named = ", ".join(
            f"{clock(start)} to {clock(end)} ({words} words)"
            for start, end, words in found.unsearched
        )
        print(f"  warning: passed over, because text and recording agree nowhere there: {named}")
    if found.misfit:
        print(one_line(f"  warning: the times of {talk.text} do not fit and were not used"))
    if found.unreadable:
        named = ", ".join(list(dict.fromkeys(found.unreadable))[:_NAMED])
        print(
            one_line(
                f"  {len(found.unreadable)} words have characters outside the alphabet ({named}):"
                " --spell-out en reads numbers, --transliterate other letters"
            )
        )
    if found.fault:
        print(one_line(f"  read in part: {found.fault}"))


def find_talks(paths: Sequence[Path], speaker: str | None) -> list[Talk]:
    """Pair recordings with their texts.

    Args:
        paths: folders, in which names without endings must be equal, or recordings, each before
            its text.
        speaker: of all; None: each recording has its own.

    Raises:
        ConfigError: a file has no partner, or two recordings have one name.
        ManifestError: a path does not exist.
    """
    pairs: list[tuple[Path, Path]] = []
    single: list[Path] = []
    for path in paths:
        if path.is_dir():
            pairs += _pairs(path)
        elif path.exists():
            single.append(path)
        else:
            raise ManifestError(f"{path} does not exist: name a recording and its text")
    for audio, text in zip(single[::2], [*single[1::2], None][: len(single[::2])], strict=True):
        if text is None or text.suffix.lower() not in TEXT_SUFFIXES:
            raise ConfigError(
                f"{audio} must be followed by its text ({', '.join(TEXT_SUFFIXES)}), but"
                f" {'nothing' if text is None else text} follows"
            )
        pairs.append((audio, text))
    if not pairs:
        raise ConfigError(f"{paths[0]} has no recording beside a text of the same name")
    names = Counter(safe_name(audio.stem) for audio, _ in pairs)
    name, count = names.most_common(1)[0]
    if count > 1:
        raise ConfigError(
            f"{count} recordings are called {name}: rename them, or cut one at a time"
        )
    return [
        Talk(audio, text, safe_name(audio.stem), safe_name(speaker or audio.stem))
        for audio, text in pairs
    ]


def _pairs(folder: Path) -> list[tuple[Path, Path]]:
    """Recordings of a folder with texts of the same name beside them, sorted."""
    found = []
    for audio in sorted(folder.iterdir()):
        if audio.suffix.lower() not in AUDIO_SUFFIXES:
            continue
        texts = [audio.with_suffix(suffix) for suffix in TEXT_SUFFIXES]
        text = next((text for text in texts if text.is_file()), None)
        if text is not None:
            found.append((audio, text))
    return found
