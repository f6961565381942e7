"""Other people's disks: a checkout that cannot be written, another user's rights."""

from __future__ import annotations

import json
from pathlib import Path

from tests.system.conftest import Run


def test_predictions_go_anywhere(quick_command: Run, toy_run: Path, tmp_path: Path) -> None:
    result = quick_command(
        "inference.py",
        "-cn=transcribe",
        f"audio={toy_run.parent / 'data' / 'val' / 'val-000.wav'}",
        f"inferencer.from_pretrained={toy_run / 'model_best.pth'}",
        f"inferencer.save_path={tmp_path / 'any where'}",
        "dataloader.num_workers=0",
    )
    assert result.returncode == 0, result.stderr
    (path,) = (tmp_path / "any where").rglob("*.json")
    assert json.loads(path.read_text(encoding="utf-8"))["pred_text"] is not None
    result = quick_command(
        "inference.py",
        "-cn=transcribe",
        f"audio={toy_run.parent / 'data' / 'val' / 'val-000.wav'}",
        f"inferencer.from_pretrained={toy_run / 'model_best.pth'}",
        f"inferencer.save_path={path}",
    )
    assert result.returncode == 2
    assert "inferencer.save_path" in result.stderr
    assert "Traceback" not in result.stderr
