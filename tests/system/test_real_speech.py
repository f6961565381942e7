"""The whole path on real speech: train some steps, recognise, score, against jiwer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jiwer
import pytest

from tests.system.conftest import Run
from tests.toy import ROOT, metrics

PREDICTIONS = ROOT / "data" / "saved"


@pytest.mark.slow
def test_train_recognise_score(command: Run, speech_data: Path, tmp_path: Path) -> None:
    librispeech = speech_data / "LibriSpeech"
    result = command(
        "train.py",
        "-cn=deepspeech2",
        f"data_dir={librispeech}",
        "datasets.train.part=train-clean-8h",
        "datasets.val.part=dev-clean-70m",
        "~datasets.test",
        "datasets.val.limit=8",
        "+experiment=few_steps",
        "transforms=small",
        "dataloader.num_workers=0",
        "lr_scheduler.max_lr=4e-3",
        "trainer.n_epochs=1",
        "trainer.device=cpu",
        f"trainer.save_dir={tmp_path}",
        "writer.run_name=real",
        "writer.mode=disabled",
    )
    assert result.returncode == 0, result.stderr
    losses = [row["train/loss"] for row in metrics(tmp_path / "real") if "train/loss" in row]
    assert losses[-1] < 0.8 * losses[0]

    save_path = f"test-{tmp_path.parent.name}-{tmp_path.name}"
    folder = PREDICTIONS / save_path / "test-clean-35m"
    try:
        result = command(
            "inference.py",
            "-cn=inference",
            f"data_dir={librispeech}",
            "datasets.test.part=test-clean-35m",
            f"inferencer.from_pretrained={tmp_path / 'real' / 'model_best.pth'}",
            f"inferencer.save_path={save_path}",
            "decoder=greedy",
            "dataloader.num_workers=0",
        )
        assert result.returncode == 0, result.stderr
        rows = [json.loads(path.read_text("utf-8")) for path in folder.glob("*.json")]
        assert len(rows) == 240
        texts = [row["text"] for row in rows]
        heard = [row["pred_text"] for row in rows]
        result = command("calc_wer_cer.py", "--dir_path", str(folder), "--json")
        scored = json.loads(result.stdout)
    finally:
        shutil.rmtree(PREDICTIONS / save_path, ignore_errors=True)
    assert scored["wer"] == pytest.approx(jiwer.wer(texts, heard), abs=1e-12)
    assert scored["cer"] == pytest.approx(jiwer.cer(texts, heard), abs=1e-12)
    assert scored["utterances"] == 240


@pytest.mark.slow
def test_one_batch_is_learnt_by_heart(command: Run, speech_data: Path, tmp_path: Path) -> None:
    result = command(
        "train.py",
        "-cn=one_batch",
        f"data_dir={speech_data / 'LibriSpeech'}",
        "datasets.train.part=test-clean-35m",
        "datasets.train.limit=4",
        "datasets.train.max_audio_length=5",
        "trainer.n_epochs=2",
        f"trainer.save_dir={tmp_path}",
        "trainer.device=cpu",
    )
    assert result.returncode == 0, result.stderr
    rates = [row.get("val/CER_(Argmax)", 1.0) for row in metrics(tmp_path / "one_batch")]
    assert min(rates) == 0.0
