"""Metrics of one's own: computed over a pass, logged, monitored, in tables and figures."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path

import jiwer
import pytest
from omegaconf import OmegaConf

from deepspeech2 import checkpoint
from deepspeech2.commands.infer import infer
from deepspeech2.commands.train import train
from deepspeech2.config.metrics import own_metrics
from deepspeech2.errors import ConfigError
from deepspeech2.evaluation import Evaluation
from deepspeech2.metrics import CorpusScore
from tests.toy import config, metrics, overrides, write_corpus

HERE = "tests.trainer.test_own_metrics"


def word_errors(references: Sequence[str], hypotheses: Sequence[str], scale: float = 1) -> float:
    """As jiwer has it, which is what WER has to be as well."""
    return scale * jiwer.wer(list(references), list(hypotheses))


class Count:
    """The number of utterances."""

    def __call__(self, references: Sequence[str], hypotheses: Sequence[str]) -> int:
        return len(references)


def failing(references: Sequence[str], hypotheses: Sequence[str]) -> float:
    raise KeyError("what it lacks")


@pytest.mark.figures
def test_a_run_logs_and_monitors_it_and_a_table_shows_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_corpus(tmp_path / "toy", {"train": 30, "val": 9})
    own = [
        f"+metrics.mine._target_={HERE}.word_errors",
        "+metrics.mine.scale=-1",
        f"+metrics.count._target_={HERE}.Count",
        f"+metrics.failing._target_={HERE}.failing",
    ]
    words = overrides(
        data, tmp_path, *own, "trainer.n_epochs=3", "trainer.ema=0.9",
        'trainer.monitor="max val_mine_(Argmax)"',
    )  # fmt: skip
    assert train(config("an4", *words)) == 0

    # every epoch, of plain and averaged weights, the same as WER; the failing one is only reported
    rows = [row for row in metrics(tmp_path / "toy") if "val/mine_(Argmax)" in row]
    assert len(rows) == 3
    for row in rows:
        for part in ("val", "val_ema"):
            assert row[f"{part}/mine_(Argmax)"] == pytest.approx(-row[f"{part}/WER_(Argmax)"])
            assert row[f"{part}/count_(Argmax)"] == 9
    assert not any("failing" in key for row in rows for key in row)
    log = (tmp_path / "toy/info.log").read_text(encoding="utf-8")
    assert "metrics.failing of Argmax is left out: KeyError: 'what it lacks'" in log
    assert (tmp_path / "toy/plots/metrics.png").stat().st_size > 0

    # the best model is that of the monitored metric
    saved = checkpoint.load(tmp_path / "toy/model_best.pth")
    best = max(row[f"{part}/mine_(Argmax)"] for row in rows for part in ("val", "val_ema"))
    kind = "val_ema" if saved["weights"] == "moving average" else "val"
    assert saved["metrics"][f"{kind}/mine_(Argmax)"] == best

    # recognition prints it, and counts what an earlier run has recognised
    words = [
        "datasets=manifest", "~datasets.train", f"data_dir={data}",
        f"inferencer.from_pretrained={tmp_path}/toy/model_best.pth",
        f"inferencer.save_path={tmp_path}/predictions",
        "inferencer.device=cpu", "inferencer.threads=1", "dataloader.num_workers=0", *own,
    ]  # fmt: skip
    tables = []
    for _ in range(2):
        capsys.readouterr()
        assert infer(config("inference", *words)) == 0
        printed = capsys.readouterr().out
        tables.append(re.findall(r"^part +decoder.*$|^.* Argmax .*$", printed, re.MULTILINE)[:2])
    assert tables[0] == tables[1]
    head, row = tables[0]
    assert head.split()[-2:] == ["mine", "count"]
    wer, mine, count = (row.replace(" %", "").split()[i] for i in (-4, -2, -1))
    assert float(mine) == pytest.approx(-float(wer) / 100, abs=1e-4)
    assert count == "9"


def test_ranks_are_measured_together(caplog: pytest.LogCaptureFixture) -> None:
    pairs = [("a b", "a c"), ("a", "a"), ("b a a", "b")]
    parts = []
    for share in (pairs[:1], pairs[1:]):
        part = Evaluation({"Argmax": CorpusScore()}, pairs={"Argmax": []})
        part.oracles, part.several = {"Argmax": CorpusScore()}, {"Argmax": False}
        for reference, text in share:
            part.score(reference, {"Argmax": [text]})
        parts.append(part)
    whole = Evaluation.merged(parts)
    with caplog.at_level(logging.ERROR):
        whole.measure({"mine": word_errors, "text": lambda *_: "no number"})  # type: ignore[dict-item, return-value]
    assert whole.measured == {"Argmax": {"mine": 3 / 6}}
    assert whole.values()["mine_(Argmax)"] == whole.values()["WER_(Argmax)"]
    assert "metrics.text of Argmax is left out: ValueError: could not convert string" in caplog.text


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ({"mine": 3}, "metrics.mine must name a _target_, but is 3"),
        ({"WER": {"_target_": f"{HERE}.Count"}}, "other than WER, CER, loss"),
        ({"a/b": {"_target_": f"{HERE}.Count"}}, "metrics.a/b must have a name of letters"),
        ({"mine": {"_target_": f"{HERE}.Count", "k": 1}}, "metrics.mine.k=1 does not exist"),
        ({"mine": {"_target_": f"{HERE}.Nothing"}}, "cannot be imported"),
        ({"mine": {"_target_": "pathlib.PurePath"}}, "a PurePosixPath has no __call__"),
    ],
)
def test_what_is_no_metric(node: object, expected: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(expected)):
        own_metrics(OmegaConf.create({"metrics": node}))


def test_none_at_all() -> None:
    for content in ({}, {"metrics": None}, {"metrics": {}}, {"metrics": {"mine": None}}):
        assert own_metrics(OmegaConf.create(content)) == {}
