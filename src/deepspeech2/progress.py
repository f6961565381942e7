"""The progress bar of whatever goes through audio."""

from __future__ import annotations

from tqdm import tqdm


class AudioBar(tqdm):  # type: ignore[type-arg]
    """A bar that counts ``total`` seconds of audio; without a title it is hidden."""

    def __init__(self, total: float, title: str | None) -> None:
        layout = "{l_bar}{bar}| {n:.0f}/{total:.0f} s of audio [{elapsed}<{remaining}, {rate_fmt}]"
        super().__init__(
            total=total, desc=title, unit="s", bar_format=layout, leave=False, dynamic_ncols=True,
            disable=title is None,
        )  # fmt: skip
        self._seconds = total

    def advance(self, seconds: float) -> None:
        """Count more seconds, but never more than ``total``: sums of durations round."""
        self.update(min(seconds, self._seconds - self.n))
