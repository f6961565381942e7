"""Scores predictions: corpus word and character error rate. Imports no torch.

Predictions and references together: --dir_path with a folder of JSON files or a file of JSON
lines (keys pred_text and text; NeMo's manifests too), or a table (.csv, .tsv). Apart: --pred_dir
and --gt_dir, each a folder of .txt, or a file in the form of Kaldi's text or sclite's trn.
"""

import argparse
import sys

from src.errors import SpeechError
from src.metrics import outputs, report
from src.metrics.normalizers import NORMALIZERS, normalizer

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dir_path", metavar="PATH", help="predictions with their references")
    parser.add_argument("--pred_dir", metavar="PATH", help="predictions")
    parser.add_argument("--gt_dir", metavar="PATH", help="references of the same names")
    parser.add_argument(
        "--normalizer",
        choices=NORMALIZERS,
        default="default",
        help="; ".join(f"{name}: {what}" for name, what in NORMALIZERS.items()).replace("%", "%%"),
    )
    parser.add_argument("--worst", type=int, default=0, metavar="N", help="show N utterances")
    parser.add_argument("--confusions", type=int, default=0, metavar="N", help="show N of a kind")
    parser.add_argument(
        "--by", action="append", default=[], metavar="FIELD", help="slice by speaker, duration ..."
    )
    parser.add_argument("--manifest", metavar="PATH", help="JSON lines with more fields by id")
    parser.add_argument(
        "--compare", metavar="PATH", help="another system's predictions for the same utterances"
    )
    parser.add_argument("--html", metavar="FILE", help="write a page to look at the errors")
    parser.add_argument(
        "--audio", type=int, default=20, metavar="N", help="of so many of the worst in the page"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object")
    form.add_argument("--csv", action="store_true", help="print a row for each utterance")
    form.add_argument("--markdown", action="store_true", help="print Markdown tables")
    options = parser.parse_args()
    try:
        normalize = normalizer(options.normalizer)
        predictions = report.read(options.dir_path, options.pred_dir, options.gt_dir)
        if options.manifest:
            predictions = report.with_fields(predictions, options.manifest)
        other = None
        if options.compare:
            gt_dir = options.gt_dir
            alone = options.compare if not gt_dir else None
            other = report.read(alone, options.compare if gt_dir else None, gt_dir)
        wanted = report.Wanted(options.worst, options.confusions, options.by)
        found = report.report(predictions, normalize, wanted, other)
        if options.html:
            from src.metrics.html import write_html

            write_html(found, options.html, options.dir_path or options.pred_dir, options.audio)
    except SpeechError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    for warning in report.warnings(found.remarks):
        print(warning, file=sys.stderr)
    write = outputs.as_text
    for asked, form_of in (
        (options.json, outputs.as_json),
        (options.csv, outputs.as_csv),
        (options.markdown, outputs.as_markdown),
    ):
        write = form_of if asked else write
    print(write(found))
