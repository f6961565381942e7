"""From a training run and its transcripts to a row, a page, and a checkpoint that fits."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from leaderboard import page
from leaderboard.recording import PICTURES, Summary
from leaderboard.rows import Result, read
from leaderboard.scoring import decoder_options, language_model

from deepspeech2.commands import infer as inference
from deepspeech2.commands.train import train
from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.hardware import cpus, processor
from tests.results.conftest import Done
from tests.toy import ROOT, config, overrides, write_corpus

COMMAND = "python train.py -cn=an4 writer.run_name=toy"
OWN = {"name": "LanguageModelDecoder", "lm": "a.arpa", "beam_size": 50, "threads": 1}
MACHINE = ["--processor", "AMD EPYC", "--cpus", "2"]


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in ``saved/toy`` on part of the toy corpus, and transcripts in ``heard/toy/val``."""
    folder = tmp_path_factory.mktemp("toy")
    data = write_corpus(folder / "speech", {"train": 24, "val": 8})
    more = ["trainer.n_epochs=1", "datasets.train.hours=0.003", "decoder=beam"]
    assert train(config("an4", *overrides(data, folder / "saved", *more))) == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inference, "PREDICTIONS", str(folder / "heard"))
        changes = [
            "datasets=manifest",
            "~datasets.train",
            f"data_dir={data}",
            f"inferencer.from_pretrained={folder / 'saved/toy/model_best.pth'}",
            "inferencer.device=cpu",
            "dataloader.num_workers=0",
        ]
        assert inference.infer(config("inference", *changes, "inferencer.save_path=toy")) == 0
        changes += ["decoder=greedy", "inferencer.save_path=greedy"]
        assert inference.infer(config("inference", *changes)) == 0
    return folder


@pytest.fixture
def record(toy: Path, tmp_path: Path, quick_script: Callable[..., Done]) -> Callable[..., Done]:
    def run(*words: str, folder: str = "toy", evaluation: str = "python inference.py") -> Done:
        return quick_script(
            "tools/results.py",
            "record",
            str(toy / "saved/toy/model_best.pth"),
            str(toy / "heard" / folder / "val"),
            f"--command={COMMAND}",
            f"--evaluation={evaluation}",
            f"--results={tmp_path / 'results.jsonl'}",
            *words,
        )

    return run


def test_the_row_of_a_run(toy: Path, tmp_path: Path, record: Callable[..., Done]) -> None:
    done = record(*MACHINE)
    assert done.status == 0, done.err
    (row,) = read(tmp_path / "results.jsonl", Result)
    log = (toy / "saved/toy/info.log").read_text()
    training = row.training
    assert f"{training.utterances} utterances, {training.hours:.2f} h to train on" in log
    assert 5 <= training.utterances < 24
    assert (row.recipe, row.command, training.corpus) == ("toy", COMMAND, "speech/train")
    assert (training.epochs, training.seed, training.weights) == (1, 1, "plain")
    assert f"({60 * training.took_hours:.1f} min)" in log
    assert f"{row.parameters / 1e6:.2f} M parameters on cpu" in log
    assert (training.machine.processor, training.machine.cpus) == ("AMD EPYC", 2)
    assert (row.decoder, row.decoder_options["beam_size"]) == ("BeamSearch", 10)
    assert row.language_model is None
    assert (row.test_set, row.utterances) == ("val", 8)
    texts = [json.loads(file.read_text()) for file in (toy / "heard/toy/val").glob("*.json")]
    assert row.wer.reference == sum(len(text["text"].split()) for text in texts)
    content = (toy / "saved/toy/model_best.pth").read_bytes()
    assert row.checkpoint_sha256 == hashlib.sha256(content).hexdigest()
    assert f"toy, val: WER {page.percent(row.wer)} %" in done.out
    assert len(row.curves) == 2
    for name, curve in zip(PICTURES, row.curves, strict=True):
        plot = toy / f"saved/toy/plots/{name}.png"
        assert (tmp_path / curve).read_bytes() == plot.read_bytes()
    line = (tmp_path / "results.jsonl").read_text()
    assert str(tmp_path) not in line
    assert str(toy) not in line


@pytest.mark.parametrize(
    ("start", "shown"), [("saved/a/model_best.pth", None), ("/home/me/saved/a/b.pth", "b.pth")]
)
def test_what_it_started_from(
    toy: Path, tmp_path: Path, quick_script: Callable[..., Done], start: str, shown: str | None
) -> None:
    run = tmp_path / "run"
    shutil.copytree(toy / "saved/toy", run)
    content = torch.load(run / "model_best.pth", weights_only=True)
    content["config"]["trainer"]["from_pretrained"] = start
    torch.save(content, run / "model_best.pth")
    done = quick_script(
        "tools/results.py",
        "record",
        str(run / "model_best.pth"),
        str(toy / "heard/toy/val"),
        f"--command={COMMAND}",
        "--evaluation=python inference.py",
        f"--results={tmp_path / 'results.jsonl'}",
    )
    assert done.status == 0, done.err
    (row,) = read(tmp_path / "results.jsonl", Result)
    assert row.training.started_from == (shown or start)


def test_the_machine_is_in_the_summary(tmp_path: Path, record: Callable[..., Done]) -> None:
    assert record().status == 0
    (row,) = read(tmp_path / "results.jsonl", Result)
    machine = row.training.machine
    assert (machine.processor, machine.cpus, machine.gpu) == (processor(), cpus(), None)


def test_rendered_twice_the_same(
    tmp_path: Path, record: Callable[..., Done], quick_script: Callable[..., Done]
) -> None:
    assert record("--trained-here").status == 0
    for more in ((), ("--hours", "2", "--took-hours", "3", "--corpus", "tones", "--utterances=9")):
        assert record(*MACHINE, *more).status == 0
    readme = tmp_path / "README.md"
    readme.write_text(f"a\n{page.BEGIN}\n{page.END}\nz\n")
    card, model = tmp_path / "card.md", tmp_path / "model.pth"
    card.write_text(readme.read_text())
    model.write_bytes(b"another model")
    words = [f"--results={tmp_path / 'results.jsonl'}", f"--page={tmp_path / 'RESULTS.md'}"]
    words += [f"--card={card}", f"--model={model}"]
    seen = []
    for _ in range(2):
        done = quick_script("tools/results.py", "render", *words, f"--readme={readme}")
        assert (done.status, done.err) == (0, "")
        assert "1 results and 12 published" in done.out
        seen.append([(tmp_path / "RESULTS.md").read_bytes(), readme.read_bytes()])
    assert seen[0] == seen[1]
    assert b"| 2 h of tones |" in seen[0][1]  # the later of two of the same
    assert b"| DeepSpeech 2 | 5.33 | 13.25 |" in seen[0][0]
    assert card.read_text() == f"a\n{page.BEGIN}\n{page.END}\nz\n"  # nothing is known of it


def test_another_decoder_must_be_in_the_command(
    tmp_path: Path, record: Callable[..., Done]
) -> None:
    done = record(*MACHINE, folder="greedy")
    assert done.status == 2
    assert done.err.startswith("error: the transcripts were made by Argmax, but the evaluation")
    assert (
        record(*MACHINE, folder="greedy", evaluation="python inference.py decoder=greedy").status
        == 0
    )
    (row,) = read(tmp_path / "results.jsonl", Result)
    assert (row.decoder, row.decoder_options) == ("Argmax", {})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--trained-here", *MACHINE], "error: give either --trained-here or"),
        (["--processor", "AMD EPYC"], "error: --processor needs --cpus"),
        ([*MACHINE, "--lm-perplexity", "90"], "error: a perplexity of 90 is given, but"),
        ([*MACHINE, "--test-set", "test-clean"], "error: "),
    ],
)
def test_what_is_wrong_is_one_sentence(
    tmp_path: Path, record: Callable[..., Done], words: list[str], message: str
) -> None:
    done = record(*words)
    assert done.status == 2
    assert done.err.startswith(message)
    assert done.err.count("\n") == 1
    assert not (tmp_path / "results.jsonl").exists()


def test_a_checkpoint_away_from_its_run(
    toy: Path, tmp_path: Path, quick_script: Callable[..., Done]
) -> None:
    moved = tmp_path / "model_best.pth"
    shutil.copy(toy / "saved/toy/model_best.pth", moved)
    words = [str(moved), str(toy / "heard/toy/val"), "--command=c", "--evaluation=e", *MACHINE]
    words.append(f"--results={tmp_path / 'results.jsonl'}")
    done = quick_script("tools/results.py", "record", *words)
    assert done.err.startswith("error: neither the checkpoint nor a run.json beside it has what")
    facts = ["--utterances=9", "--hours=0.5", "--took-hours=0.1"]
    assert quick_script("tools/results.py", "record", *words, *facts).status == 0
    summary = json.loads((toy / "saved/toy/run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps(summary | {"parameters": 9_990_000}))
    done = quick_script("tools/results.py", "record", *words, *facts)
    assert "is of 9,990,000 parameters, but model_best.pth has" in done.err
    (tmp_path / "run.json").write_text(json.dumps(summary | {"device": "cuda:0"}))
    words = words[: -len(MACHINE) - 1] + words[-1:]
    done = quick_script("tools/results.py", "record", *words)
    assert "names cuda:0: name the GPU with --gpu" in done.err
    words += [*MACHINE, "--gpu=H100"]
    assert quick_script("tools/results.py", "record", *words).status == 0
    assert read(tmp_path / "results.jsonl", Result)[-1].training.machine.gpu == "H100"


def test_a_summary_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    assert Summary.read(file) == Summary()
    file.write_text('{"device": "cuda:0", "hours": 7.654321, "epochs": 2}')
    assert Summary.read(file) == Summary(device="cuda:0", hours=7.65)
    for text, message in (("[", "Invalid JSON"), ('{"hours": "two"}', "hours: .* number")):
        file.write_text(text)
        with pytest.raises(ManifestError, match=f"run.json is no summary of a run: {message}"):
            Summary.read(file)


def test_a_fresh_process_in_another_folder(tmp_path: Path) -> None:
    words = ["record", "none.pth", "nowhere", "--command=c", "--evaluation=e"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools/results.py"), *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr[:7]) == (2, "error: "), done.stderr
    assert "nowhere is neither a folder of predictions nor" in done.stderr


class TestDecoding:
    def test_the_command_changes_the_checkpoints_own(self) -> None:
        found = decoder_options(
            OWN, "python inference.py decoder.beam_size=20 decoder.nbest=3", "BeamSearchLM"
        )
        assert found == {"lm": "a.arpa", "beam_size": 20, "nbest": 3}

    def test_a_config_takes_its_place(self) -> None:
        command = "python inference.py decoder=beam 'decoder.hotwords=[ada lovelace]'"
        found = decoder_options(OWN, command, "BeamSearch")
        assert found == {
            "beam_size": 10,
            "nbest": 1,
            "hotword_weight": 10.0,
            "hotwords": ["ada lovelace"],
        }

    def test_the_main_config_names_one(self) -> None:
        command = "python inference.py -cn=inference_an4 data_dir=PATH"
        found = decoder_options(OWN, command, "BeamSearchLM")
        assert found["lm"] == "data/lm/an4.arpa"
        assert found == decoder_options(OWN, f"{command} decoder=an4", "BeamSearchLM")
        assert decoder_options(OWN, "inference.py --config-name inference", "BeamSearchLM") == (
            decoder_options(OWN, "inference.py", "BeamSearchLM")
        )
        greedy = decoder_options(OWN, f"{command} decoder=greedy", "Argmax")
        assert "lm" not in greedy
        with pytest.raises(ConfigError, match="-cn=inferense does not exist"):
            decoder_options(OWN, "python inference.py -cn=inferense", "BeamSearchLM")

    def test_as_the_checkpoints_own_takes_changes(self) -> None:
        own = {**OWN, "nbest": 10, "beam_threshold": 20.0}
        command = "python inference.py decoder.beam_threshold=null decoder.beam_size=5"
        found = decoder_options(own, command, "BeamSearchLM")
        assert (found["beam_threshold"], found["beam_size"], found["nbest"]) == (20.0, 5, 5)
        named = "python inference.py decoder=beam decoder.beam_size=null"
        assert "beam_size" not in decoder_options(OWN, named, "BeamSearch")

    def test_every_config_names_its_decoder(self) -> None:
        names = {"greedy": "Argmax", "beam": "BeamSearch", "beam_lm": "BeamSearchLM"}
        for config_name, name in names.items():
            decoder_options({}, f"python inference.py decoder={config_name}", name)

    @pytest.mark.parametrize(
        ("command", "message"),
        [
            ("python inference.py decoder=greedy", "made by BeamSearchLM, but .* gives Argmax"),
            ("python inference.py decoder=beem", "decoder=beem does not exist"),
            ("python inference.py 'decoder=", "is no command"),
        ],
    )
    def test_what_does_not_fit(self, command: str, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            decoder_options(OWN, command, "BeamSearchLM")

    def test_the_language_model(self, tmp_path: Path) -> None:
        file = tmp_path / "own.arpa"
        file.write_text("x" * 10)
        found = language_model({"lm": str(file)}, 90.5)
        assert found is not None
        assert (found.name, found.size_bytes, found.perplexity) == ("own.arpa", 10, 90.5)
        named = language_model({"lm": "3-gram.pruned.1e-7"}, None)
        assert named is not None
        assert named.size_bytes is None
