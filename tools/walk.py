"""How far one has to walk through the code: python -m tools.walk [--json]

Counts lines and files of the package, and the files and functions that one toy epoch passes
through, from the config to the saved checkpoint.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src/deepspeech2"


def size() -> dict[str, int]:
    """Lines, files and folders of the package."""
    files = sorted(SOURCE.rglob("*.py"))
    lines = sum(len(path.read_text("utf-8").splitlines()) for path in files)
    rooms = {path.relative_to(SOURCE).parts[0] for path in files if path.parent != SOURCE}
    return {"lines": lines, "files": len(files), "rooms": len(rooms)}


def passed(folder: Path) -> dict[str, Any]:
    """Files and functions of the package that a toy epoch calls, in this process."""
    from deepspeech2.commands.train import train
    from tests.toy import config, overrides, write_corpus

    data = write_corpus(folder / "data", {"train": 12, "val": 4})
    words = overrides(data, folder, "trainer.n_epochs=1", "dataloader.num_workers=0")
    code: set[CodeType] = set()

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code not in code:
            code.add(frame.f_code)

    composed = config("an4", *words)
    sys.setprofile(note)
    try:
        train(composed)
    finally:
        sys.setprofile(None)
    own = [each for each in code if each.co_filename.startswith(f"{SOURCE}/")]
    files = Counter(Path(each.co_filename).relative_to(SOURCE).as_posix() for each in own)
    functions = {(each.co_filename, each.co_qualname) for each in own}
    return {"files passed": len(files), "functions passed": len(functions), "by file": files}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object, with all files")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = size() | passed(Path(name))
    if options.json:
        print(json.dumps(found))
        return
    for key, value in found.items():
        if key != "by file":
            print(f"{key}: {value:,}")


if __name__ == "__main__":
    main()
