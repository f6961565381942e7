"""What a server may be told."""

from __future__ import annotations

from dataclasses import dataclass, fields

from src.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """Bounds of a server.

    Attributes:
        workers: recordings that are recognised at the same time.
        queue: requests that may wait for a worker; what comes beyond is refused (429).
        streams: recordings that may be made at the same time.
        max_upload_mb: megabytes of a request.
        max_seconds: of a recording or a stream.
        idle_seconds: after which a stream that says nothing is closed.
        hosts: names that the server answers to, against pages of others that ask it.

    Raises:
        ConfigError: a number is not positive.
    """

    workers: int = 1
    queue: int = 8
    streams: int = 4
    max_upload_mb: float = 50.0
    max_seconds: float = 1800.0
    idle_seconds: float = 30.0
    hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            least = 0 if field.name == "queue" else 1e-9
            if field.name != "hosts" and not value >= least:
                raise ConfigError(f"{field.name} must be positive, but is {value}")

    @property
    def max_bytes(self) -> int:
        return int(self.max_upload_mb * 1e6)
