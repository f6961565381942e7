"""Sessions of VoxForge as its archives unpack, written here in small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from deepspeech2.datasets import VoxForgeCorpus
from deepspeech2.errors import ConfigError, ManifestError


def write(session: Path, sound: str = "wav", names: str = "a0001 a0002", **texts: str) -> Path:
    for folder in ("etc", sound):
        (session / folder).mkdir(parents=True, exist_ok=True)
    for name in names.split():
        soundfile.write(session / sound / f"{name}.{sound}", np.zeros(8000), 16000)
    for name, text in texts.items():
        (session / "etc" / name.replace("_", "-")).write_text(text, encoding="utf-8")
    return session.parent


def test_sessions_and_their_speakers(tmp_path: Path) -> None:
    write(
        tmp_path / "ann-20080101-abc",
        PROMPTS="ann-20080101-abc/mfc/a0001 HE SAID NO\nann-20080101-abc/mfc/a0002 YES\n",
        prompts_original='a0001 He said, "no".\na0002 Yes!\n',
    )
    write(tmp_path / "anonymous-20080102-xyz", "flac", "b1", prompts_original="b1 Of course.\n")
    corpus = VoxForgeCorpus(tmp_path)
    assert [(x.id, x.duration, x.text, x.speaker) for x in corpus] == [
        ("ann-20080101-abc-a0001", 0.5, "HE SAID NO", "ann"),
        ("ann-20080101-abc-a0002", 0.5, "YES", "ann"),
        ("anonymous-20080102-xyz-b1", 0.5, "Of course.", "anonymous-20080102-xyz"),
    ]
    assert corpus[2].audio == tmp_path / "anonymous-20080102-xyz/flac/b1.flac"
    original = VoxForgeCorpus(tmp_path, "prompts-original", speakers=["ann"])
    assert [x.text for x in original] == ['He said, "no".', "Yes!"]


def test_what_is_left_out(tmp_path: Path) -> None:
    write(tmp_path / "ann-1-a", PROMPTS="x/a0001 YES\nx/a0002\n")
    write(tmp_path / "bob-1-a", names="a0001 a0003", PROMPTS="x/a0001 YES\nx/a0002 NO\n")
    (tmp_path / "cyd-1-a/wav").mkdir(parents=True)
    (tmp_path / "dan-1-a/etc").mkdir(parents=True)
    (tmp_path / "dan-1-a/etc/PROMPTS").write_text("a YES\n")
    corpus = VoxForgeCorpus(tmp_path)
    assert [x.id for x in corpus] == ["ann-1-a-a0001", "bob-1-a-a0001"]
    found = [(x.name.removeprefix(f"{tmp_path.name}, "), x.reason) for x in corpus.exclusions]
    assert found == [
        ("line 2 of ann-1-a/etc/PROMPTS", "x/a0002 has no text: write NAME TEXT"),
        ("line 2 of bob-1-a/etc/PROMPTS", f"{tmp_path / 'bob-1-a/wav'} has no recording a0002"),
        ("bob-1-a/wav/a0003.wav", "no text in etc/PROMPTS"),
        ("cyd-1-a", "is no session, for it has no etc/PROMPTS or prompts-original"),
        ("dan-1-a", "is no session, for it has no folder wav or flac"),
    ]


def test_what_is_no_corpus(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="is no folder: set data_dir"):
        VoxForgeCorpus(tmp_path / "none")
    with pytest.raises(ManifestError, match="contains no usable utterance"):
        VoxForgeCorpus(tmp_path)
    with pytest.raises(ConfigError, match="prompts must be PROMPTS or prompts-original, but is"):
        VoxForgeCorpus(tmp_path, "prompts")
