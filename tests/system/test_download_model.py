"""Runs download_model.py as a user does, against a server on loopback."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deepspeech2 import checkpoint
from deepspeech2.commands import download_model as released
from deepspeech2.errors import DownloadError, ManifestError
from deepspeech2.extras.interchange import registry
from deepspeech2.http import model_download
from deepspeech2.http.model_download import download_model
from deepspeech2.http.transfer import Refused
from tests.interchange.rebuilt import Predecessor, lived
from tests.interchange.test_importing import predecessor_file
from tests.loopback import Resource, Server, serve

ROOT = Path(__file__).resolve().parents[2]
BODY = random.Random(1).randbytes(200_000)
SHA256 = hashlib.sha256(BODY).hexdigest()
ENTRY = (
    "models: [{{name: a, about: b, licence: c, output: {output}, sources: ['{source}'],"
    " sha256: {sha256}}}]"
)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serve() as state:
        yield state


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "models" / "model.pth"


def run_program(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "download_model.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "NO_PROXY": "127.0.0.1"},
    )


def test_program_resumes_checks_and_keeps(server: Server, output: Path) -> None:
    url = server.put("/m", Resource(BODY, breaks=[80_000]))
    done = run_program("--url", url, "--sha256", SHA256, "--output", output)
    assert done.returncode == 0, done.stderr
    assert output.read_bytes() == BODY
    assert done.stdout.splitlines()[-2:] == [str(output), f"SHA-256 {SHA256}"]
    assert "note: inference.py cannot use it" in done.stdout
    assert [request.range for request in server.requests] == [None, "bytes=80000-"]
    assert server.requests[1].sent == len(BODY) - 80_000


def test_program_speaks_in_one_sentence(server: Server, output: Path) -> None:
    url = server.put("/m", Resource(b"<html>quota</html>", content_type="text/html"))
    done = run_program("--url", url, "--output", output, "--unchecked")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert url in done.stderr
    assert "Traceback" not in done.stderr
    assert not output.exists()


@pytest.mark.parametrize(
    ("resource", "message"),
    [
        (Resource(BODY[::-1]), SHA256),
        (Resource(status=403), "403"),
        (Resource(status=404), "404"),
        (Resource(BODY, stalls=True), "0.2 s"),
    ],
    ids=["wrong-bytes", "forbidden", "missing", "stalls"],
)
def test_failures(
    server: Server,
    output: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    resource: Resource,
    message: str,
) -> None:
    monkeypatch.setattr("deepspeech2.http.fetch.time.sleep", lambda _: None)
    url = server.put("/m", resource)
    options = ["--url", url, "--output", str(output), "--sha256", SHA256, "--timeout", "0.2"]
    assert released.main(options) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not output.exists()


def test_redirect(server: Server, output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server.put("/real", Resource(BODY, ranges=False, breaks=[1000]))
    url = server.put("/m", Resource(location="/real"))
    assert released.main(["--url", url, "--output", str(output)]) == 2
    assert "no checksum of model.pth is known: name it with --sha256" in capsys.readouterr().err
    assert server.requests == []
    assert released.main(["--url", url, "--output", str(output), "--unchecked"]) == 0
    assert output.read_bytes() == BODY


def test_file_that_is_there(
    server: Server, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output.parent.mkdir()
    output.write_bytes(b"mine")
    url = server.put("/m", Resource(BODY))
    assert released.main(["--url", url, "--output", str(output)]) == 0
    assert "is there already and is kept" in capsys.readouterr().out
    assert released.main(["--url", url, "--output", str(output), "--sha256", SHA256]) == 2
    assert "is there already" in capsys.readouterr().err
    assert output.read_bytes() == b"mine"
    assert server.requests == []


@pytest.mark.parametrize("value", ["abc", "g" * 64])
def test_malformed_checksum(output: Path, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert released.main(["--output", str(output), "--sha256", value]) == 2
    assert "64 hexadecimal digits" in capsys.readouterr().err


ID = "1LoU_kCzl20hM5p709teRPB0a4Jib8VK-"
ASKS = """<!DOCTYPE html><html><body><p>Google Drive can't scan this file for viruses.</p>
<form id="download-form" action="{}" method="get"><input type="hidden" name="id" value="x"></form>
</body></html>"""
QUOTA = b'<!DOCTYPE html>\n<p class="uc-error-subcaption">Too many\x1b[2J users</p>'


@pytest.fixture
def drive(server: Server, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Google Drive, which shows a page for the released checkpoint, and has its file elsewhere."""
    monkeypatch.setattr(model_download, "DRIVE", f"{server.url}/uc")
    monkeypatch.setattr("deepspeech2.http.fetch.time.sleep", lambda _: None)

    def put(page: Resource | None, file: Resource | None = None) -> None:
        link = ASKS.format(f"{server.url}/file").encode()
        server.put(f"/uc?id={ID}", page or Resource(link, content_type="text/html"))
        server.put("/file?id=x", file or Resource(BODY))

    return put


@pytest.mark.parametrize(
    ("page", "file"),
    [
        (None, None),
        (None, Resource(BODY, breaks=[80_000])),
        (Resource(BODY), None),
        (Resource(BODY * 6), None),
        (Resource(BODY * 6, length=""), None),
    ],
    ids=["page", "broken-off", "small-file", "large-file", "file-of-unknown-length"],
)
def test_google_drive_by_default(
    server: Server, output: Path, drive: Callable[..., None], page: Resource, file: Resource
) -> None:
    drive(page, file)
    body = BODY if page is None else page.body
    words = ["--output", str(output), "--sha256", hashlib.sha256(body).hexdigest()]
    assert released.main(words) == 0
    assert output.read_bytes() == body
    assert {path.name for path in output.parent.iterdir()} <= {output.name, f"{output.name}.lock"}
    if file is not None:
        assert [request.range for request in server.requests][1:] == [None, "bytes=80000-"]


@pytest.mark.parametrize(
    ("page", "file", "message"),
    [
        (Resource(QUOTA, content_type="text/html"), None, "quota"),
        (Resource(b"<html>\n</html>", content_type="text/html"), None, "quota"),
        (Resource(b'<html><form id="download-form">', content_type="text/html"), None, "quota"),
        (Resource(status=404), None, "quota"),
        (Resource(status=503), None, "503"),
        (Resource(BODY, stalls=True), None, "does not answer within 0.3 s"),
        (Resource(drip="header"), None, "does not answer within 0.3 s"),
        (Resource(b"<html>" * 100, length="", drip="body"), None, "less than 1000 bytes a second"),
        (Resource(b"<html>" * 100, length="", endless=True), None, "quota"),
        (None, Resource(BODY[::-1]), SHA256),
        (None, Resource(BODY, drip="body"), "less than 1000 bytes a second"),
        (None, Resource(BODY, length="99999999999999999"), "needs 100000000.0 GB"),
        (None, Resource(b"<html>no", content_type="text/html"), "web page"),
    ],
)
def test_google_drive_refuses(
    output: Path,
    drive: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    page: Resource,
    file: Resource,
    message: str,
) -> None:
    drive(page, file)
    words = ["--output", str(output), "--sha256", SHA256, "--timeout", "0.3"]
    assert released.main(words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "in a browser" in error
    assert str(output) in error
    assert len(error.splitlines()) == 1
    assert "\x1b" not in error
    assert not output.exists()


def test_google_drive_leads_from_https_to_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def answered(session: object, url: str, part: Path, **options: object) -> None:
        part.write_text(ASKS.format("http://drive.usercontent.google.com/download"))

    monkeypatch.setattr(model_download, "transfer", answered)
    with pytest.raises(Refused, match="from https"):
        model_download._drive_address("https://drive.google.com/uc?id=x", 1.0)


def test_address_of_google_drive_without_a_file(
    output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = "https://drive.google.com/drive/my-drive"
    assert released.main(["--url", url, "--output", str(output), "--unchecked"]) == 2
    assert "names no file" in capsys.readouterr().err


def test_the_predecessors_file_is_imported_and_kept(
    server: Server, output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = predecessor_file(tmp_path / "theirs.pth", lived(Predecessor((4, 6, 5), 16, 2)))
    body = theirs.read_bytes()
    digest = hashlib.sha256(body).hexdigest()
    url = server.put("/m", Resource(body))
    options = ["--url", url, "--output", str(output), "--sha256", digest]
    assert released.main(options) == 0
    told = capsys.readouterr().out
    assert "a checkpoint of the predecessor" in told
    assert f"SHA-256 {digest}" in told
    original = released.original_of(output)
    assert original.read_bytes() == body
    content = checkpoint.load(output)
    assert content["origin"]["sha256"] == digest

    made = output.read_bytes()
    output.unlink()  # it is made again from what lies there, without another download
    assert released.main(options) == 0
    assert released.main(options) == 0
    assert output.read_bytes() == made
    assert len(server.requests) == 1


def test_the_next_source_is_asked(
    server: Server, output: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("deepspeech2.http.fetch.time.sleep", lambda _: None)
    gone, wrong = server.put("/gone", Resource(status=404)), server.put("/w", Resource(BODY[::-1]))
    right = server.put("/right", Resource(BODY))
    assert download_model(output, [gone, wrong, right], sha256=SHA256, size=len(BODY))
    assert output.read_bytes() == BODY
    with pytest.raises(DownloadError, match=r"404.*; .*sha256"):
        download_model(tmp_path / "other", [gone, wrong], sha256=SHA256)
    assert [path.name for path in tmp_path.iterdir() if path.name == "other"] == []


def test_a_file_had_in_another_way(
    output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "had"
    file.write_bytes(BODY)
    options = ["--from-file", str(file), "--output", str(output)]
    assert released.main([*options, "--sha256", "0" * 64]) == 2
    assert "it is another file" in capsys.readouterr().err
    assert not output.exists()
    assert released.main([*options, "--sha256", SHA256]) == 0
    assert output.read_bytes() == file.read_bytes() == BODY
    assert released.main(["--from-file", "none", "--output", str(tmp_path / "x")]) == 2
    assert "none does not exist" in capsys.readouterr().err


def test_the_models_that_are_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert released.main(["--list"]) == 0
    assert "predecessor: DeepSpeech2, 28 M parameters" in capsys.readouterr().out
    assert released.main(["enormous"]) == 2
    assert "no model is named 'enormous': choose from predecessor" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("models: []", "at least one model"),
        ("results: []", "must have a list 'models'"),
        ("models: [{name: a}]", "model 1 must have about, licence, name, output, sources"),
        (ENTRY.format(source="ftp://a", sha256="null", output="a"), "sources cannot be"),
        (ENTRY.format(source="hf://a/b/c", sha256="12", output="a"), "sha256 cannot be"),
        (ENTRY.format(source="hf://a/b/c", sha256="null", output="../a"), "output cannot be"),
        ("a: [", "cannot be read"),
    ],
)
def test_malformed_registries(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "registry.yaml"
    path.write_text(content)
    with pytest.raises(ManifestError, match=said):
        registry.read(path)


def test_the_hub_by_its_short_name(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        "deepspeech2.http.model_download.fetch", lambda urls, *_, **__: asked.extend(urls)
    )
    download_model(output, ["hf://ann/models/small/a.pth"], unchecked=True)
    assert asked == ["https://huggingface.co/ann/models/resolve/main/small/a.pth"]
    with pytest.raises(DownloadError, match="must be hf://OWNER/REPOSITORY/FILE"):
        download_model(output, ["hf://ann/models"], unchecked=True)
