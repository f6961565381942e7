"""Every command that writes, on small inputs, with all that it writes below one folder."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from leaderboard.rows import append

from deepspeech2 import checkpoint
from tests.interchange.rebuilt import Predecessor
from tests.interchange.test_importing import lived, predecessor_file
from tests.results.made import result
from tests.toy import RATE, overrides

Words = list[str]
TEMPORARY = ".tmp"


def stage(folder: Path, toy_run: Path) -> Path:
    """What the commands read, besides the toy run; returns ``folder``."""
    (folder / "noise").mkdir(parents=True)
    for number in range(9):
        noise = np.random.default_rng(number).standard_normal(RATE)
        soundfile.write(folder / "noise" / f"{number}.wav", 0.1 * noise, RATE)
    (folder / "text.txt").write_text("ab ba\nba cab\nabc bc\n" * 9, encoding="utf-8")
    (folder / "heard").mkdir()
    for number in range(3):
        content = {"pred_text": "ab", "text": "ab ba", "id": str(number), "decoder": "Argmax"}
        (folder / "heard" / f"{number}.json").write_text(json.dumps(content), encoding="utf-8")
    rows = [result(hours, 0.9 * hours**-0.35) for hours in (0.5, 1.0, 2.0, 4.0, 8.0)]
    append(folder / "rows.jsonl", *rows)
    predecessor_file(folder / "theirs.pth", lived(Predecessor((4, 6, 5), 16, 2)))
    rows_of = "-1\t</s>\n-9\t<s>\n-1\t<unk>\n-1\tab\n-1\tba"
    arpa = f"\\data\\\nngram 1=5\n\n\\1-grams:\n{rows_of}\n\n\\end\\\n"
    (folder / "toy.arpa").write_text(arpa, encoding="utf-8")
    (folder / "README.md").write_text(
        "a\n<!-- results:begin -->\n<!-- results:end -->\nb\n", encoding="utf-8"
    )
    (folder / "out").mkdir()
    fresh(folder, toy_run)
    return folder


def fresh(folder: Path, toy_run: Path) -> None:
    """``out`` as the commands find it: what some of them change."""
    for path in (folder / "out").iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copy(toy_run / "model_best.pth", folder / "out" / "model.pth")
    shutil.copy(folder / "rows.jsonl", folder / "out" / "rows.jsonl")
    shutil.copy(folder / "README.md", folder / "out" / "README.md")


def programs(folder: Path, toy_run: Path) -> dict[str, Words]:
    """By name, what stands on the command line."""
    out, best, data = folder / "out", toy_run / "model_best.pth", toy_run.parent / "data"
    digest = hashlib.sha256(best.read_bytes()).hexdigest()
    on_toys = ["datasets=manifest", "~datasets.train", f"data_dir={data}"]
    on_toys += ["dataloader.num_workers=0"]
    recognition = [*on_toys, "inferencer.threads=1", f"inferencer.save_path={out / 'heard'}"]
    changing = [*recognition, f"inferencer.from_pretrained={out / 'model.pth'}"]
    rows, once = f"--results={out / 'rows.jsonl'}", ["transforms=none", "trainer.n_epochs=1"]
    exports = {
        f"export {kind}": ["scripts/export.py", str(best), "--output", f"{out / 'a'}.{kind}"]
        for kind in ("pth", "safetensors", "onnx")
    }
    return {
        "train": [
            "train.py", "-cn=an4", *overrides(data, out, *once, "model.dropout=0"),
            "trainer.resume_from=auto", "dataloader.num_workers=0",
        ],
        "inference": [
            "inference.py", "-cn=inference", *recognition, "inferencer.formats=[txt,jsonl]",
            f"inferencer.from_pretrained={best}",
        ],
        "score": [
            "calc_wer_cer.py", "--dir_path", str(folder / "heard"), "--html", str(out / "a.html")
        ],
        "download": [
            "download_model.py", "--from-file", str(best), "--sha256", digest,
            "--output", str(out / "fetched.pth"),
        ],
        **exports,
        "import": [
            "scripts/import_checkpoint.py", str(folder / "theirs.pth"),
            "--output", str(out / "imported.pth"),
        ],
        "segment": [
            "scripts/segment.py", str(data / "val" / "val-000.wav"), str(folder / "text.txt"),
            "--checkpoint", str(best), "--device", "cpu", "--output", str(out / "corpus"),
        ],
        "train_lm": [
            "scripts/train_lm.py", str(folder / "text.txt"), "--order", "2",
            "--output", str(out / "a.arpa.gz"),
        ],
        "train_tokenizer": [
            "scripts/train_tokenizer.py", str(folder / "text.txt"), "--size", "6",
            "--output", str(out / "pieces.json"),
        ],
        "calibrate": ["scripts/calibrate.py", *changing, "calibrator.folds=2"],
        "tune_decoder": [
            "scripts/tune_decoder.py", *changing, f"decoder.lm={folder / 'toy.arpa'}",
            "tuner.lm_weight=[0.0,1.0]", "tuner.word_score=[0.0]", "tuner.prior_weight=[0.0]",
            "tuner.unknown_score=[null]", "tuner.beam_size=[2]", "tuner.refinements=0",
            f"tuner.emissions_dir={out / 'emissions'}",
        ],
        "robustness": [
            "scripts/robustness.py", f"checkpoints={{a: {best}}}", f"noise_dir={folder / 'noise'}",
            *on_toys, "robustness.snrs=[5]", "robustness.device=cpu", "robustness.override=true",
            f"robustness.save_path={out / 'robustness'}",
        ],
        "suspects": [
            "scripts/suspects.py", *on_toys, f"suspects.from_pretrained={best}",
            "suspects.device=cpu", "suspects.override=true",
            f"suspects.save_path={out / 'suspects'}",
        ],
        "preview": [
            "scripts/preview.py", "-cn=an4", *overrides(data, out, "transforms=none"),
            f"+preview.save_path={out / 'preview'}", "+preview.utterances=1",
        ],
        "ablation": [
            "tools/results.py", "ablation", str(toy_run), f"--results={out / 'ablations.jsonl'}"
        ],
        "learning_curve": ["tools/results.py", "curve", rows, f"--output={out / 'curve'}"],
        "record_result": [
            "tools/results.py", "record", str(best), str(folder / "heard"), rows,
            "--command=python train.py", "--evaluation=python inference.py", "--trained-here",
        ],
        "render_results": [
            "tools/results.py", "render", rows, f"--page={out / 'RESULTS.md'}",
            f"--readme={out / 'README.md'}", f"--card={out / 'README.md'}",
        ],
    }  # fmt: skip


def contents(folder: Path) -> dict[str, bytes]:
    """The files below ``folder``, without locks and temporary ones."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.suffix != ".lock"
        and not any(part.endswith(TEMPORARY) for part in path.relative_to(folder).parts)
    }


def remains(folder: Path) -> list[str]:
    """Temporary files and folders below ``folder``."""
    return [path.name for path in folder.rglob(f".*{TEMPORARY}")]


def halves(folder: Path, before: dict[str, bytes]) -> Iterator[str]:
    """Files that are neither what they were nor whole."""
    for name, content in contents(folder).items():
        path = folder / name
        if before.get(name) == content or path.suffix == ".log":
            continue
        ends = {".png": b"IEND\xaeB`\x82", ".html": b"</html>", ".arpa": b"\\end\\"}
        ends |= {".md": b"\n", ".txt": b"\n", ".yaml": b"\n"}
        try:
            if path.suffix in (".pth", ".safetensors", ".onnx"):
                checkpoint.load(path)
            elif path.suffix == ".json":
                json.loads(content)
            elif path.suffix == ".jsonl":
                lines = content.decode().splitlines(keepends=True)
                if path.name == "metrics.jsonl":  # grows line by line; a cut one is passed over
                    lines = lines[:-1]
                for line in lines:
                    json.loads(line)
            elif not content.rstrip(b"\n").endswith(ends.get(path.suffix, b"").rstrip(b"\n")):
                yield name
        except Exception as error:  # whatever a reader makes of half a file
            yield f"{name}: {error}"
