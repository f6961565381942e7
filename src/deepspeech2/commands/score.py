"""Score transcripts from the command line."""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Sequence
from pathlib import Path

from deepspeech2.errors import run_command
from deepspeech2.escaping import one_line
from deepspeech2.metrics import outputs, report
from deepspeech2.metrics.normalizers import NORMALIZERS, normalizer
from deepspeech2.metrics.predictions import Predictions
from deepspeech2.paths import ROOT, typed
from deepspeech2.text.normalization import Normalizer

_AUDIO = ["20"]  # utterances whose sound is in the page, unless others are asked for
_DROPPED = 20  # characters removed by normalisation that are printed


def main(description: str | None = None, arguments: Sequence[str] | None = None) -> int:
    """Read, score, print; return the exit status, 2 if something cannot be read."""
    options = _parser(description).parse_args(arguments)
    gc.disable()  # all that is read stays to the end: collecting takes a seventh of the time
    return run_command(lambda: _print(options))


def _print(options: argparse.Namespace) -> None:
    found = _report(options)
    for warning in report.warnings(found.remarks):
        print(warning, file=sys.stderr)
    for warning in report.warnings(found.other_remarks, f"{options.compare}: "):
        print(warning, file=sys.stderr)
    write = {"json": outputs.as_json, "csv": outputs.as_csv, "markdown": outputs.as_markdown}
    print(write.get(options.form, outputs.as_text)(found))


def _report(options: argparse.Namespace) -> report.Report:
    """Read and score what the options name, and write the page."""
    normalize = normalizer(options.normalizer)
    predictions = report.read(options.dir_path, options.pred_dir, options.gt_dir)
    if options.manifest:
        predictions = report.with_fields(predictions, options.manifest)
    if isinstance(normalize, Normalizer):
        dropped = normalize.dropped(text for pair in predictions.pairs for text in pair)
        named = ", ".join(f"{mark!r} {count}" for mark, count in dropped.most_common(_DROPPED))
        if named:
            print(f"not compared: {one_line(named)}", file=sys.stderr)
    wanted = report.Wanted(options.worst, options.confusions, options.by)
    found = report.report(predictions, normalize, wanted, _other(options))
    if options.html:
        _write_page(found, options)
    return found


def _write_page(found: report.Report, options: argparse.Namespace) -> None:
    from deepspeech2.metrics.html import Recordings, write_html  # soundfile is slow to load

    title = options.dir_path or options.pred_dir
    beside = [typed(path).parent for path in (title, options.manifest) if path]
    is_count = len(options.audio) == 1 and options.audio[0].isdecimal()
    count, names = (int(options.audio[0]), ()) if is_count else (0, options.audio)
    recordings = Recordings(count, names, [Path(), ROOT, *beside])
    write_html(found, options.html, title, recordings, options.compare or "")
    place = one_line(str(Path(options.html).absolute()))
    print(f"the page of errors is {place}", file=sys.stderr)  # standard output may be JSON


def _other(options: argparse.Namespace) -> Predictions | None:
    """Read what is compared with, in the form of the first."""
    if not options.compare:
        return None
    if options.gt_dir:
        return report.read(None, options.compare, options.gt_dir)
    return report.read(options.compare, None, None)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a number from 0, but is {text!r}")
    return int(text)


def _parser(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--dir_path", metavar="PATH", help="predictions with their references")
    add("--pred_dir", metavar="PATH", help="predictions")
    add("--gt_dir", metavar="PATH", help="references of the same names")
    what = "; ".join(f"{name}: {what}" for name, what in NORMALIZERS.items()).replace("%", "%%")
    add("--normalizer", choices=NORMALIZERS, default="default", help=what)
    add("--worst", type=_count, default=0, metavar="N", help="show N utterances, aligned")
    add("--confusions", type=_count, default=0, metavar="N", help="show N of a kind")
    fields = "slice by speaker, duration ..."
    add("--by", action="append", default=[], metavar="FIELD", help=fields)
    add("--manifest", metavar="PATH", help="JSON lines with more fields by id")
    compare = "another system's predictions for the same utterances"
    add("--compare", metavar="PATH", help=compare)
    page = "write a page to look at the errors, of both if compared"
    add("--html", metavar="FILE", help=page)
    sound = "whose sound is in the page: N of the worst, or ids (default: 20)"
    add("--audio", nargs="+", default=_AUDIO, metavar="N", help=sound)
    form = parser.add_mutually_exclusive_group()
    forms = {
        "json": "one JSON object", "csv": "a row for each utterance", "markdown": "Markdown tables",
    }  # fmt: skip
    for name, what in forms.items():
        form.add_argument(
            f"--{name}", dest="form", action="store_const", const=name, help=f"print {what}"
        )
    return parser
