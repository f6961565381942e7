"""WER over hours of training: python tools/learning_curve.py --where test_set=test-clean"""

import argparse
import sys
from pathlib import Path

from deepspeech2.errors import ConfigError, run_command
from deepspeech2.paths import resolve, typed
from results import curve, published, rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--where", nargs="+", default=[], metavar="KEY=VALUE", help="that the runs must have")
    add("--recipe", help="what the names of the runs begin with")
    add("--hours", type=float, nargs="+", default=curve.FORETOLD, help="to foretell the WER for")
    default = "(default: %(default)s)"
    add("--results", type=typed, default=Path("results/results.jsonl"), help=default)
    add("--published", type=typed, default=Path("docs/published.yaml"), help=default)
    add("--output", type=Path, help=".png and .md (default: results/learning_curve)")
    options = parser.parse_args()
    pairs = [each.partition("=") for each in options.where]
    if not all(equals for _, equals, _ in pairs):
        raise ConfigError(f"--where takes KEY=VALUE, but is {' '.join(options.where)}")
    if min(options.hours) <= 0:
        raise ConfigError(f"--hours must be positive, but is {min(options.hours):g}")
    where = {key: value for key, _, value in pairs}
    chosen = curve.choose(rows.read(resolve(options.results)), where, options.recipe)
    found = curve.fit(chosen, published.read(resolve(options.published)), options.hours)
    curve.write(found, options.output or resolve("results/learning_curve"))
    print(curve.tables(found))


if __name__ == "__main__":
    sys.exit(run_command(main))
