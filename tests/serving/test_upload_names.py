"""Names of uploads lead nowhere."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from unittest.mock import Mock, patch

import pytest
from fastapi import HTTPException
from hypothesis import example, given, settings

from deepspeech2.extras.serving.uploads import UploadTranscriber
from deepspeech2.settings import ServeSettings
from tests.test_files import NAMES


@settings(max_examples=200)
@given(name=NAMES)
@example(name="../../kept.wav")
def test_no_name_of_an_upload_leads_out_of_its_folder(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("names")
    folder = place / "a" / "b"
    folder.mkdir(parents=True)
    (place / "kept.wav").write_bytes(b"kept")
    read: list[Path] = []

    def probed(path: Path, **options: object) -> None:
        assert path.read_bytes() == b"sent"
        read.append(path)
        raise HTTPException(422)

    transcriber = UploadTranscriber(Mock(), ServeSettings(), Mock())
    with (
        patch("tempfile.tempdir", str(folder)),
        patch("deepspeech2.extras.serving.uploads.probe", probed),
        pytest.raises(HTTPException),
    ):
        transcriber.transcribe(io.BytesIO(b"sent"), name, threading.Event(), drawn=False)
    assert read[0].parent.parent == folder
    assert (place / "kept.wav").read_bytes() == b"kept"
    assert sorted(place.rglob("*")) == [place / "a", folder, place / "kept.wav"]
