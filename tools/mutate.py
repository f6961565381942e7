"""Does `make test` notice a broken line? python -m tools.mutate [--lines 20] [--seed 1]

Breaks one line after the other, at random, in a clone of the last commit: a comparison, an
arithmetic or logical operator, a number or a truth value becomes another. Runs the tests of the
line's room, then all others of `make test`, until one fails. Prints the lines that none noticed.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path("src/deepspeech2")
OTHERS = ("extras", "commands")  # are no part of the core
SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A broken line: where it is, its number, and the code before and after."""

    path: Path
    line: int
    before: str
    after: str


def mutants(path: Path) -> list[Mutant]:
    """All ways to break the functions of a module, one each for an expression of one line."""
    text = path.read_text(encoding="utf-8")
    lines = text.encode().splitlines()
    found = []
    for function in ast.walk(ast.parse(text)):
        if isinstance(function, ast.FunctionDef):
            for statement in function.body:
                for node in ast.walk(statement):
                    if not isinstance(node, ast.expr) or node.lineno != node.end_lineno:
                        continue
                    line = lines[node.lineno - 1]  # the tree counts its bytes
                    before = line[node.col_offset : node.end_col_offset].decode()
                    if after := _broken(node):
                        found.append(Mutant(path, node.lineno, before, after))
    return found


def _broken(node: ast.expr) -> str | None:
    """The code of ``node`` with one thing changed; None where nothing is to be changed."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPPED:
        node.ops[0] = SWAPPED[type(node.ops[0])]()  # type: ignore[assignment]
    elif isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in SWAPPED:
        node.op = SWAPPED[type(node.op)]()  # type: ignore[assignment]
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return f"bool({ast.unparse(node.operand)})"
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        return str(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        return str(node.value + 1)
    else:
        return None
    return f"({ast.unparse(node)})"


def apply(mutant: Mutant, copy: Path) -> str:
    """Break the line in ``copy``; returns the module's text as it was."""
    path = copy / mutant.path.relative_to(ROOT)
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    place = mutant.line - 1
    lines[place] = lines[place].replace(mutant.before, mutant.after, 1)
    path.write_text("".join(lines), encoding="utf-8")
    return text


def failing(places: list[str], copy: Path, workers: int) -> str:
    """What failed of `make test` there, or that it took a quarter of an hour; else nothing."""
    speech = os.environ.get("SPEECH_DATA", "../shared/data")
    own_code = {
        "PYTHONPATH": f"{copy / 'src'}{os.pathsep}{copy / 'tools'}",
        "SPEECH_DATA": str((ROOT / speech).resolve()),
    }
    command = [
        sys.executable, "-m", "pytest", "-x", "-q", "-n", str(workers), "--dist", "loadfile",
        "-m", "not slow and not exhaustive", *places,
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, cwd=copy, env={**os.environ, **own_code}, capture_output=True, timeout=900,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "a quarter of an hour was too short"
    return done.stdout[-2000:] or done.stderr if done.returncode else ""


def noticed(mutant: Mutant, copy: Path, workers: int) -> str:
    """Where a test fails: ``room``, ``others`` or, for nowhere, an empty text."""
    room = mutant.path.relative_to(ROOT / PACKAGE).with_suffix("").parts[0]
    own = [each for each in (f"tests/{room}", f"tests/test_{room}.py") if (copy / each).exists()]
    if own and failing(own, copy, workers):
        return "room"
    return "others" if failing(["tests"], copy, workers) else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="processes of the tests")
    options = parser.parse_args()
    modules = [
        path
        for path in sorted((ROOT / PACKAGE).rglob("*.py"))
        if path.relative_to(ROOT / PACKAGE).parts[0] not in OTHERS
    ]
    by_line = {(each.path, each.line): each for path in modules for each in mutants(path)}
    chosen = random.Random(options.seed).sample(sorted(by_line), options.lines)
    survivors = []
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "copy"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(copy)], check=True)
        if already := failing(["tests"], copy, options.workers):
            sys.exit(f"the tests fail before anything is broken:\n{already}")
        for key in (bar := tqdm(chosen, unit="line")):
            mutant = by_line[key]
            shown = f"{mutant.path.relative_to(ROOT)}:{mutant.line}"
            text = apply(mutant, copy)
            bar.set_postfix_str(shown)
            found = noticed(mutant, copy, options.workers)
            (copy / mutant.path.relative_to(ROOT)).write_text(text, encoding="utf-8")
            tqdm.write(f"{found or 'NOWHERE'}: {shown}: {mutant.before} -> {mutant.after}")
            survivors += [] if found else [mutant]
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} broken lines were noticed")


if __name__ == "__main__":
    main()
