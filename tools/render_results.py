"""Render results/RESULTS.md, a short table in the README, and one in the model's card:

python tools/render_results.py
"""

import argparse
import hashlib
import sys
from pathlib import Path

from deepspeech2.errors import run_command
from deepspeech2.paths import resolve, typed
from results import page, published, rows


def of_model(ours: list[rows.Result], model: Path) -> list[rows.Result]:
    """The results of the checkpoint ``model``, whose bytes say which they are."""
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    return [row for row in ours if row.checkpoint_sha256 == digest]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    default = "(default: %(default)s)"
    parser.add_argument(
        "--results", type=typed, default=Path("results/results.jsonl"), help=default
    )
    parser.add_argument(
        "--published", type=typed, default=Path("docs/published.yaml"), help=default
    )
    parser.add_argument("--page", type=Path, help="(default: results/RESULTS.md)")
    parser.add_argument("--readme", type=typed, default=Path("README.md"), help=default)
    parser.add_argument("--model", type=typed, default=Path("models/english.pth"), help=default)
    parser.add_argument("--card", type=typed, default=Path("models/README.md"), help=default)
    options = parser.parse_args()
    ours = rows.read(resolve(options.results))
    theirs = published.read(resolve(options.published))
    rendered = options.page or resolve("results/RESULTS.md")
    page.write(ours, theirs, rendered)
    print(f"{rendered}: {len(page.ordered(ours))} results and {len(theirs)} published")
    replaced = f"the text between {page.BEGIN} and {page.END}"
    if page.insert(page.brief(page.ordered(ours)), resolve(options.readme)):
        print(f"{options.readme}: {replaced}")
    model, card = resolve(options.model), resolve(options.card)
    its = of_model(ours, model) if model.exists() and card.exists() else []
    # a model without recorded results keeps its card
    if its and page.insert(page.summary(page.ordered(its), []), card):
        print(f"{options.card}: {replaced}")


if __name__ == "__main__":
    sys.exit(run_command(main))
