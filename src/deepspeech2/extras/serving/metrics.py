"""What a server counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)  # s


class ServerMetrics:
    """Counters of one server, in a registry of their own.

    Args:
        taken: how many recordings are being recognised or wait for it.
    """

    def __init__(self, taken: Callable[[], float]) -> None:
        self._registry = CollectorRegistry()
        own: dict[str, Any] = {"namespace": "deepspeech2", "registry": self._registry}
        labels = ("kind", "outcome")
        self.requests = Counter("requests", "Recordings asked for", labels, **own)
        self.audio = Counter("audio_seconds", "Seconds of sound recognised", **own)
        told = "Seconds that a recording took, without its upload and its wait"
        self.took = Histogram("recognition_seconds", told, buckets=_BUCKETS, **own)
        self.streams = Gauge("streams", "Recordings being made", **own)
        Gauge("recordings_taken", "Recognised or waiting", **own).set_function(taken)

    def text(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self._registry)
