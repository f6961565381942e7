"""Scores predictions: corpus word and character error rate. Imports no torch."""

import argparse
import sys

from src.errors import SpeechError
from src.metrics import report

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir_path", help="folder of JSON files, or one JSON-lines file")
    parser.add_argument("--pred_dir", help="folder of .txt predictions")
    parser.add_argument("--gt_dir", help="folder of .txt references with the same names")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--normalizer", choices=["default", "none"], default="default")
    options = parser.parse_args()
    try:
        predictions = report.read(options.dir_path, options.pred_dir, options.gt_dir)
    except SpeechError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    for warning in report.warnings(predictions):
        print(warning, file=sys.stderr)
    result = report.score(predictions, normalize=options.normalizer == "default")
    print(report.as_json(result, predictions) if options.json else report.as_text(result))
