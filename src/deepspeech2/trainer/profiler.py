"""Profile a few steps: a trace to look at, and where the time went in the log."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from deepspeech2.errors import sentence
from deepspeech2.tables import text_table

log = logging.getLogger(__name__)

WARM_UP = 5  # steps of this process before the profile: caches fill, kernels are compiled
STEPS = 3  # that are profiled
_ROWS = 10  # costliest operations in the log


class StepProfiler:
    """Profiles a few steps after a warm-up; later steps run as without it.

    The trace opens in ``chrome://tracing`` or https://ui.perfetto.dev.

    Args:
        path: of the trace; None profiles nothing.
    """

    def __init__(self, path: Path | None, device: torch.device) -> None:
        self._path = path
        self._cuda = device.type == "cuda"
        self._steps = 0
        self._profile: profile | None = None

    def step(self) -> None:
        """Note the end of a step."""
        if self._path is None:
            return
        self._steps += 1
        if self._steps == WARM_UP:
            activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * self._cuda
            # acc_events: without it torch warns that a second cycle would forget the first
            self._profile = profile(activities=activities, acc_events=True)
            self._profile.start()
        elif self._steps == WARM_UP + STEPS and self._profile is not None:
            finished, self._profile = self._profile, None
            finished.stop()
            self._write(finished)

    def close(self) -> None:
        """End a profile that has had too few steps; nothing of it is written."""
        if self._profile is not None:
            self._profile.stop()
            self._profile = None
        if self._path is not None and self._steps < WARM_UP + STEPS:
            log.warning(
                "trainer.profile=true needs %d steps, but this run took %d: no trace is written",
                WARM_UP + STEPS,
                self._steps,
            )

    def _write(self, finished: profile) -> None:
        """Write the trace, and log what took longest of the time of the operations themselves."""
        assert self._path is not None
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            finished.export_chrome_trace(str(self._path))
        except OSError as error:
            log.error("The trace could not be written: %s", sentence(error))
        events = finished.key_averages()
        name = f"self_{'device' if self._cuda else 'cpu'}_time_total"
        times = {
            each.key: (getattr(each, name), each.count)
            for each in events
            if not each.key.startswith("step: ")
        }
        total = max(sum(time for time, _ in times.values()), 1)
        rows = [
            (
                key[:60],
                f"{time / 1e3 / STEPS:.1f}",
                f"{100 * time / total:.1f}",
                str(count // STEPS),
            )
            for key, (time, count) in sorted(times.items(), key=lambda item: -item[1][0])[:_ROWS]
        ]
        header = ("operation", "ms a step", "% of time", "calls a step")
        table = text_table(header, rows, n_left=1, rule=True)
        log.info("The costliest operations of %d steps:", STEPS)
        for line in table.splitlines():
            log.info("%s", line)
        parts = ", ".join(
            f"{each.key.removeprefix('step: ')} {each.cpu_time_total / 1e3 / STEPS:.0f} ms"
            for each in events
            if each.key.startswith("step: ") and each.cpu_time_total
        )
        log.info("Of a step take %s. The trace is in %s", parts, self._path)
