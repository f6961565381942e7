"""Every config is composed, and everything in it that needs no corpus is built."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import cast

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from deepspeech2.config.command_line import check_settings, run
from deepspeech2.config.components import check_keys, create, group, takes
from deepspeech2.config.loaders import open_loader
from deepspeech2.decoding import BeamSearchDecoder
from deepspeech2.errors import ConfigError
from deepspeech2.settings import DataloaderSettings, TrainerSettings
from deepspeech2.text import TextEncoder
from deepspeech2.types import Utterance
from tests.toy import ROOT, config

CONFIGS = ROOT / "configs"
COMMANDS = sorted(path.stem for path in CONFIGS.glob("*.yaml") if path.stem != "settings")
OPTIONS = sorted(
    path.relative_to(CONFIGS).with_suffix("").as_posix()
    for path in CONFIGS.rglob("*/*.yaml")
    if "hydra" not in path.relative_to(CONFIGS).parts  # tests/system/test_sweep.py
)
GROUPS = {
    "model", "datasets", "dataloader", "transforms", "text_encoder", "decoder", "loss_function",
    "optimizer", "lr_scheduler", "trainer", "inferencer", "writer", "experiment", "tuner",
    "calibrator", "metrics",
}  # fmt: skip


def test_no_config_is_overlooked() -> None:
    assert len(COMMANDS) == 21
    assert len(OPTIONS) == 85
    assert {option.split("/")[0] for option in OPTIONS} == GROUPS


@pytest.mark.parametrize("name", COMMANDS)
def test_command_config_is_whole(name: str, tmp_path: Path) -> None:
    missing = {
        "transcribe": "audio=a.wav",
        "tune_decoder": "decoder.lm=a.arpa",
        "robustness": "noise_dir=noise",
    }
    cfg = config(name, *([missing[name]] if name in missing else []))
    OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    for part in cfg:
        if OmegaConf.is_dict(cfg[part]):
            check_keys(group(cfg, str(part)), str(part))
    check_settings(cfg)
    if "trainer" not in cfg:
        return
    encoder: TextEncoder = create(group(cfg, "text_encoder"), "text_encoder")
    front_end = create(group(cfg, "transforms"), "transforms")
    model = create(
        group(cfg, "model"),
        "model",
        n_features=front_end.n_features,
        n_tokens=encoder.n_tokens,
    )
    create(group(cfg, "loss_function"), "loss_function")
    create(group(cfg, "decoder"), "decoder", encoder)
    optimizer = create(group(cfg, "optimizer"), "optimizer", model.parameters())
    steps = {"total_steps": 100} if "onecycle" in str(cfg.lr_scheduler._target_).lower() else {}
    create(group(cfg, "lr_scheduler"), "lr_scheduler", optimizer, **steps)


FOR_ALL = {
    "dataloader": {"max_batch_duration"},
    "model": {"dropout"},
    "optimizer": {"lr", "weight_decay"},
    "writer": {"run_name", "mode"},
}
"""What a config may set below a group: options that each file of the group has."""


@cache
def own(path: str) -> DictConfig:
    """What the file ``path`` sets by itself, without what its groups set."""
    node = cast(DictConfig, OmegaConf.load(CONFIGS / f"{path}.yaml"))
    beside = Path(path).parent
    bases = [each for each in node.pop("defaults", []) if isinstance(each, str)]
    bases = [(beside / each).as_posix() for each in bases if each not in ("_self_", "settings")]
    return cast(DictConfig, OmegaConf.merge(*map(own, bases), node))


def choices(name: str) -> dict[str, str]:
    """The files of the groups that the config ``name`` chooses."""
    found: dict[str, str] = {}
    for each in OmegaConf.load(CONFIGS / f"{name}.yaml").get("defaults", []):
        if isinstance(each, str):
            found |= choices(each) if each not in ("_self_", "settings") else {}
        else:
            [(key, choice)] = each.items()
            found[key.removeprefix("override ")] = choice
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_another_choice_of_a_group_is_in_effect(command: str) -> None:
    """Each file of each group with each config: its keys fit, and its values are not replaced."""
    sets, chosen = own(command), choices(command)
    options = {path: own(path) for path in OPTIONS if path.split("/")[0] in chosen}
    before = OmegaConf.merge(*({key: options[f"{key}/{chosen[key]}"]} for key in chosen), sets)
    before = OmegaConf.merge({"plugins": []}, before)
    assert before == config(command)  # so they are put together as Hydra does it
    for path, option in options.items():
        name = path.split("/")[0]
        cfg = OmegaConf.merge(before, {"noise_dir": ".", "audio": "a.wav"})
        cfg[name] = OmegaConf.merge(option, sets.get(name) or {})
        if sum(each.split("/")[0] == name for each in options) > 1:
            assert set(sets.get(name) or ()) <= FOR_ALL.get(name, set()) & set(option), path
        check_keys(node := group(cfg, name), name)
        weight = [torch.nn.Parameter(torch.zeros(2, 2))]
        if name == "optimizer":
            create(node, name, weight)
        elif name == "lr_scheduler":
            steps = {"total_steps": 100} if takes(node, name, "total_steps") else {}
            create(node, name, torch.optim.AdamW(weight), **steps)


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_fits_its_group(option: str) -> None:
    name, choice = option.split("/")
    if name == "inferencer" or option in ("decoder/checkpoint", "dataloader/inference"):
        command, change = "inference", f"{name}={choice}"
    elif name == "tuner":
        command, change = "tune_decoder", "tuner=default"
    elif name == "calibrator":
        command, change = "calibrate", "calibrator=default"
    elif name == "experiment":
        command, change = "deepspeech2", f"+experiment={choice}"
    else:
        command, change = "deepspeech2", f"{name}={choice}"
    extra = {
        "subword": "text_encoder.pieces=a.json",
        "beam_lm": "decoder.lm=a.arpa",
        "audio": "+audio=a.wav",
        "noisy": f"+noise_dir={ROOT}",
        "robust": f"+noise_dir={ROOT}",
    }
    cfg = config(command, change, *([extra[choice]] if choice in extra else []))
    for part in cfg:
        if OmegaConf.is_dict(cfg[part]):
            check_keys(group(cfg, str(part)), str(part))


@pytest.mark.parametrize(
    ("command", "words", "group", "choice"),
    [
        ("an4", ["+experiment=few_steps"], "model", "tiny"),
        ("an4", ["+experiment=few_steps", "model=medium"], "model", "medium"),
        ("deepspeech2", ["+experiment=[few_steps,predecessor]"], "text_encoder", "ascii_lowercase"),
        ("demo", ["+experiment=predecessor"], "transforms", "predecessor"),
    ],
)
def test_an_experiment_chooses_groups_with_every_config(
    command: str, words: list[str], group: str, choice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    composed: list[DictConfig] = []
    monkeypatch.setattr("deepspeech2.commands.train.train", lambda each: composed.append(each) or 0)
    monkeypatch.setattr("sys.argv", ["train.py", f"-cn={command}", *words])
    with pytest.raises(SystemExit):
        run("deepspeech2.commands.train:train", "deepspeech2")
    assert composed[0][group] == config(command, f"{group}={choice}")[group]


@pytest.mark.parametrize("command", ["deepspeech2", "inference"])
@pytest.mark.parametrize(
    ("hotwords", "boosts"),
    [("null", {}), ("[Ada Lovelace, bob]", {"ada lovelace": 10.0, "bob": 10.0}),
     ("{Ada Lovelace: 3}", {"ada lovelace": 3.0})],
)  # fmt: skip
def test_hot_words_as_a_list_or_with_boosts(
    command: str, hotwords: str, boosts: dict[str, float]
) -> None:
    encoder = TextEncoder()
    for choice in ("beam", "checkpoint") if command == "inference" else ("beam",):
        node = group(
            config(command, f"decoder={choice}", f"decoder.hotwords={hotwords}"), "decoder"
        )
        node = {key: value for key, value in node.items() if value is not None}
        made = (
            create(
                {"_target_": "deepspeech2.decoding.BeamSearchDecoder"} | node, "decoder", encoder
            )
            if (choice == "beam")
            else BeamSearchDecoder(encoder, hotwords=node.get("hotwords"))
        )
        assert made.hotwords == tuple(boosts)
        assert [made.language_score(phrase) for phrase in boosts] == list(boosts.values())


def test_unknown_keys_are_named_with_what_is_allowed() -> None:
    with pytest.raises(ConfigError, match=r"model.rnn_sise=3 does not exist: .* takes .*rnn_size"):
        create({"_target_": "deepspeech2.model.DeepSpeech2", "rnn_sise": 3}, "model")
    with pytest.raises(ConfigError, match=r"transforms.features.mels=3 does not exist"):
        check_keys(
            {"features": {"_target_": "deepspeech2.transforms.LogMelSpectrogram", "mels": 3}},
            "transforms",
        )
    with pytest.raises(ConfigError, match=r"trainer.epochs=3 does not exist: trainer takes"):
        TrainerSettings(epochs=3)  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match="cannot be imported"):
        create({"_target_": "deepspeech2.model.Nothing"}, "model")
    with pytest.raises(
        ConfigError, match=r"called deepspeech2, as in deepspeech2\.model\.DeepSpeech2"
    ):
        create({"_target_": "src.model.DeepSpeech2"}, "model")
    with pytest.raises(ConfigError, match=r"model cannot be built: .*n_tokens"):
        create({"_target_": "deepspeech2.model.DeepSpeech2", "n_features": 3}, "model")


def test_ranks_of_a_machine_share_its_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    utterances = [Utterance("a", tmp_path / "a.wav", 1.0)] * 64
    monkeypatch.setattr("deepspeech2.config.loaders.cpus", lambda: 16)

    def workers(**options: int) -> int:
        settings = DataloaderSettings(max_batch_duration=10)
        return open_loader(
            settings, utterances, lambda text: [], 16000, shuffle=False, **options
        ).num_workers

    assert workers() == 8
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")  # eight machines of four ranks
    assert workers(world_size=32) == 4
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "32")
    assert workers(world_size=32) == 1
