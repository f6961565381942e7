"""Render results/RESULTS.md, and the results in the README: python scripts/render_results.py"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from src.errors import SpeechError
from src.paths import resolve
from src.results import page, published, rows

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", default="results/results.jsonl", help="(default: %(default)s)")
    parser.add_argument("--published", default="docs/published.yaml", help="(default: %(default)s)")
    parser.add_argument("--page", default="results/RESULTS.md", help="(default: %(default)s)")
    parser.add_argument("--readme", default="README.md", help="(default: %(default)s)")
    options = parser.parse_args()
    try:
        ours = rows.read(resolve(options.results))
        theirs = published.read(resolve(options.published))
        page.write(ours, theirs, resolve(options.page))
        print(f"{options.page}: {len(page.ordered(ours))} results and {len(theirs)} published")
        if page.insert(ours, theirs, resolve(options.readme)):
            print(f"{options.readme}: what stands between {page.BEGIN} and {page.END}")
    except SpeechError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
