"""Keys of the PyTorch Project Template: the messages, the page about them, and what they name."""

from __future__ import annotations

import re

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from deepspeech2.config.command_line import check_settings, explain
from deepspeech2.errors import ConfigError
from deepspeech2.paths import CONFIGS, ROOT
from deepspeech2.settings.template import KEYS, advice

PAGE = ROOT / "docs/how-to/from-the-template.md"
GROUPS = "dataloader|datasets|inferencer|model|trainer|transforms|writer"
NAMED = re.compile(rf"\b(?:{GROUPS})\.[a-z_.]+")
CONFIG = re.compile(r"-cn=(\w+)")


def composed(name: str, *words: str) -> DictConfig:
    with initialize_config_dir(str(CONFIGS), version_base=None):
        return compose(name, list(words))


@pytest.fixture(scope="module")
def configs() -> list[DictConfig]:
    return [composed("deepspeech2"), composed("inference")]


def exists(configs: list[DictConfig], key: str) -> bool:
    missing = object()
    return any(OmegaConf.select(each, key, default=missing) is not missing for each in configs)


def test_the_page_says_what_the_messages_say() -> None:
    table = PAGE.read_text(encoding="utf-8").partition("## Refused keys")[2]
    rows = re.findall(r"^\| `([^`]+)` \| (.+) \|$", table, re.MULTILINE)
    assert {key: text.replace("`", "") for key, text in rows} == KEYS


def test_the_page_names_keys_that_exist(configs: list[DictConfig]) -> None:
    table = PAGE.read_text(encoding="utf-8").partition("## Same key")[2].partition("## Refused")[0]
    keys = re.findall(r"^\| `([a-z_]+\.[a-z_]+)", table, re.MULTILINE)
    assert len(keys) > 8
    for key in keys:
        assert exists(configs, key), key


@pytest.mark.parametrize("key", KEYS)
def test_what_a_message_names_exists(configs: list[DictConfig], key: str) -> None:
    for name in NAMED.findall(KEYS[key]):
        assert exists(configs, name.rstrip(".")), name
    for name in CONFIG.findall(KEYS[key]):
        assert (CONFIGS / f"{name}.yaml").is_file()


@pytest.mark.parametrize("key", KEYS)
def test_no_key_is_refused_that_exists(configs: list[DictConfig], key: str) -> None:
    assert not exists(configs, key.replace("*", "train"))


@pytest.mark.parametrize(
    ("config", "word", "remedy"),
    [
        ("demo", "dataloader.batch_size=4", "set dataloader.max_batch_duration"),
        ("demo", "trainer.device_tensors=[spectrogram]", "whole batches are moved"),
        ("demo", "transforms.batch_transforms.train=null", "set transforms.features"),
        ("demo", "transforms/batch_transforms=example", "set transforms.features"),
        ("demo", "lr_scheduler.steps_per_epoch=10", "comes from the planned batches"),
        ("baseline", "trainer.seed=2", "there is no config 'baseline': choose -cn=deepspeech2"),
    ],
)
def test_typed_keys_get_their_sentence(config: str, word: str, remedy: str) -> None:
    with pytest.raises(HydraException) as raised:
        composed(config, word)
    message = explain(raised.value)
    assert remedy in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("word", "remedy"),
    [
        ("+dataloader.batch_size=4", "dataloader.batch_size=4 does not exist: batches are filled"),
        ("+trainer.skip_oom=true", "lower dataloader.max_batch_duration"),
        ("+datasets.val.instance_transforms=null", "set transforms.waveform_transforms"),
        ("+writer.loss_names=[loss]", "the loss is logged as train/loss"),
    ],
)
def test_keys_in_a_config_get_their_sentence(word: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as raised:
        check_settings(composed("demo", word))
    assert remedy in str(raised.value)


def test_other_keys_get_none() -> None:
    assert advice("trainer.n_epoch") == ""
