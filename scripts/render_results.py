"""Render results/RESULTS.md, and the results in the README and in the model's card:

python scripts/render_results.py
"""

import argparse
import hashlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from src.errors import run_command
from src.paths import resolve
from src.results import page, published, rows


def of_model(ours: list[rows.Result], model: Path) -> list[rows.Result]:
    """The results of the checkpoint ``model``, whose bytes say which they are."""
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    return [row for row in ours if row.checkpoint_sha256 == digest]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", default="results/results.jsonl", help="(default: %(default)s)")
    parser.add_argument("--published", default="docs/published.yaml", help="(default: %(default)s)")
    parser.add_argument("--page", default="results/RESULTS.md", help="(default: %(default)s)")
    parser.add_argument("--readme", default="README.md", help="(default: %(default)s)")
    parser.add_argument("--model", default="models/english.pth", help="(default: %(default)s)")
    parser.add_argument("--card", default="models/README.md", help="(default: %(default)s)")
    options = parser.parse_args()
    ours = rows.read(resolve(options.results))
    theirs = published.read(resolve(options.published))
    page.write(ours, theirs, resolve(options.page))
    print(f"{options.page}: {len(page.ordered(ours))} results and {len(theirs)} published")
    told = f"what stands between {page.BEGIN} and {page.END}"
    if page.insert(ours, theirs, resolve(options.readme)):
        print(f"{options.readme}: {told}")
    model, card = resolve(options.model), resolve(options.card)
    its = of_model(ours, model) if model.exists() and card.exists() else []
    if its and page.insert(its, [], card):  # results that say nothing of it leave its card alone
        print(f"{options.card}: {told}")


if __name__ == "__main__":
    sys.exit(run_command(main))
