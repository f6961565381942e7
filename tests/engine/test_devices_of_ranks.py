"""What Fabric is asked for: one GPU by its number, or one for each rank of this node."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import lightning_fabric
import pytest
import torch

from deepspeech2 import engine
from deepspeech2.engine import Engine


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The arguments of each Fabric, which starts nothing."""
    arguments: list[dict[str, Any]] = []

    def fabric(**options: Any) -> SimpleNamespace:
        arguments.append(options)
        return SimpleNamespace(launch=lambda: None)

    monkeypatch.setattr(lightning_fabric, "Fabric", fabric)
    monkeypatch.setattr(engine, "HostGroup", lambda: None)
    monkeypatch.setattr(engine, "pick_device", torch.device)
    return arguments


@pytest.mark.parametrize(
    ("device", "world", "local", "devices", "nodes"),
    [
        ("cuda:1", 1, 1, [1], 1),  # without torchrun
        ("cuda", 1, 1, [0], 1),
        ("cpu", 1, 1, 1, 1),
        ("cuda", 8, 4, 4, 2),
        ("cuda", 2, 1, 1, 2),
        ("cpu", 2, 2, 2, 1),
    ],
)
def test_devices_and_nodes(
    asked: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    world: int,
    local: int,
    devices: int | list[int],
    nodes: int,
) -> None:
    if world > 1:
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
        monkeypatch.setenv("WORLD_SIZE", str(world))
        monkeypatch.setenv("LOCAL_WORLD_SIZE", str(local))
    Engine(device, precision="32")
    (options,) = asked
    assert options["accelerator"] == torch.device(device).type
    assert options["devices"] == devices
    assert options["num_nodes"] == nodes
    assert (options["strategy"] == "auto") is (world == 1)
