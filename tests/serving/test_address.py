"""Addresses that scripts/serve.py cannot listen on."""

from __future__ import annotations

import socket

import pytest

from tests.system.conftest import Run


@pytest.mark.parametrize(
    ("host", "port", "reason"),
    [
        ("127.0.0.1", None, "Address already in use"),
        ("203.0.113.1", 0, "Cannot assign requested address"),
        ("127.0.0.1", 70000, "port must be 0-65535"),
    ],
)
def test_an_address_that_cannot_be_listened_on(
    host: str, port: int | None, reason: str, command: Run
) -> None:
    pytest.importorskip("uvicorn")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1] if port is None else port
        done = command("scripts/serve.py", "--host", host, "--port", str(port))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {host}:{port} cannot be listened on")
    assert reason in line
    assert done.stdout == ""
