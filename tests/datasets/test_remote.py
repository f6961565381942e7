"""Corpora behind addresses: the same utterances as on this disk, and clear words where not."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from deepspeech2.audio.reading import read_utterance
from deepspeech2.checkpoint import load
from deepspeech2.commands.train import train
from deepspeech2.config.loaders import corpora, open_loader
from deepspeech2.datasets import (
    AudioCorpus,
    Corpus,
    DirectoryCorpus,
    KaldiCorpus,
    LhotseCorpus,
    ManifestCorpus,
    TableCorpus,
    TarCorpus,
)
from deepspeech2.errors import ConfigError, DownloadError, ManifestError
from deepspeech2.http import fetched, remote
from deepspeech2.settings import DataloaderSettings
from tests.datasets.test_tar import shard
from tests.datasets.toy_librispeech import contents, librispeech, write_librispeech
from tests.loopback import Resource, Server, serve
from tests.toy import RATE, config, overrides, write_corpus


def one_token(text: str) -> list[int]:
    """In place of an encoder; readers that are not forked are given it by name."""
    return [1]


def forget() -> None:
    """As a new process would begin."""
    for known in (remote._addresses, remote._folders, fetched._current):
        known.clear()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What is fetched goes to a folder of the test's own."""
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setattr(fetched, "user_folder", lambda: folder)
    monkeypatch.setattr(fetched.time, "sleep", lambda _: None)
    forget()
    yield folder
    forget()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serve() as state:
        yield state


@pytest.fixture
def memory() -> Iterator[Any]:
    store = fsspec.filesystem("memory")
    yield store
    store.store.clear()


@pytest.fixture
def known(tmp_path: Path) -> Corpus:
    write_librispeech(tmp_path)
    return librispeech(tmp_path)


def manifest(known: Corpus, name: Callable[[Path], str], **more: Any) -> bytes:
    rows = [
        {"audio_filepath": name(x.audio), "text": x.text, "speaker": x.speaker, **more}
        for x in known
    ]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def put(server: Server, known: Corpus, prefix: str = "/c/wav", **more: Any) -> None:
    for each in known:
        server.put(f"{prefix}/{each.audio.name}", Resource(each.audio.read_bytes(), **more))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("ranges", [True, False])
def test_a_manifest_on_the_web(server: Server, known: Corpus, ranges: bool, workers: int) -> None:
    for number, each in enumerate(known):
        content = each.audio.read_bytes()
        breaks = [len(content) // 2] if number < 2 else []
        resource = Resource(content, ranges=ranges, breaks=breaks, etag='"a"')
        server.put(f"/c/my%20wav/{each.audio.name}", resource)
    listing = manifest(known, lambda path: f"my wav/{path.name}")
    address = server.put("/c/all.jsonl", Resource(listing, etag='"1"'))
    node = {"_target_": "deepspeech2.datasets.ManifestCorpus", "manifest": address}
    (corpus,) = corpora({"train": node}).values()
    assert contents(corpus) == contents(known)
    assert [each.speaker for each in corpus] == [each.speaker for each in known]
    settings = DataloaderSettings(max_batch_duration=3.0, num_workers=workers)
    loader = open_loader(settings, corpus, one_token, RATE, shuffle=False)
    batches = list(loader.pass_once())
    assert not any(batch.failures for batch in batches)
    assert sum(len(batch.utterances) for batch in batches) == len(known)
    asked = [each.path for each in server.requests]
    assert asked.count("/c/all.jsonl") == 2  # which version there is, and the file
    assert len(asked) == 2 + len(known) + 2

    forget()
    assert contents(ManifestCorpus("all.jsonl", f"{server.url}/c")) == contents(known)
    assert [each.path for each in server.requests[len(asked) :]] == ["/c/all.jsonl"]


def test_a_list_on_this_disk_with_signed_addresses(
    server: Server, known: Corpus, tmp_path: Path
) -> None:
    for signature in ("one", "two"):
        query = f"?X-Amz-Signature={signature}&Expires=3"
        for each in known:
            server.put(f"/{each.audio.name}{query}", Resource(each.audio.read_bytes()))
        listing = manifest(known, lambda path, query=query: f"{server.url}/{path.name}{query}")  # type: ignore[misc]
        (tmp_path / "all.jsonl").write_bytes(listing)
        corpus = ManifestCorpus(tmp_path / "all.jsonl")
        assert contents(corpus) == contents(known)
        assert not any("one" in str(each.audio) for each in corpus)
        forget()
    assert len(server.requests) == len(known)  # with another signature it is the same file


def test_other_queries_are_other_files(server: Server, known: Corpus, tmp_path: Path) -> None:
    for number, each in enumerate(known):
        server.put(f"/get.flac?id={number}", Resource(each.audio.read_bytes()))
    rows = [
        {"audio_filepath": f"{server.url}/get.flac?id={number}", "text": each.text}
        for number, each in enumerate(known)
    ]
    (tmp_path / "all.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    corpus = ManifestCorpus(tmp_path / "all.jsonl")
    assert [x[1:] for x in contents(corpus)] == [x[1:] for x in contents(known)]


def test_only_what_is_kept_is_fetched(server: Server, known: Corpus) -> None:
    put(server, known)
    listing = manifest(known, lambda path: f"wav/{path.name}", duration=0.2)
    address = server.put("/c/all.jsonl", Resource(listing))
    assert len(ManifestCorpus(address, limit=2)) == 2
    assert sum(each.path.endswith(".flac") for each in server.requests) == 2


def test_ids_and_parts_are_those_on_this_disk(
    server: Server, known: Corpus, tmp_path: Path
) -> None:
    place = tmp_path / "here"
    lines = []
    for speaker in "abcdefgh":
        for name in ("1.flac", "2.flac"):
            path = place / speaker / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(known[0].audio.read_bytes())
            server.put(f"/c/{speaker}/{name}", Resource(path.read_bytes()))
            lines.append(json.dumps({"audio_filepath": f"{speaker}/{name}", "text": "x"}) + "\n")
    (place / "all.jsonl").write_text("".join(lines))
    listing = server.put("/c/all.jsonl", Resource("".join(lines).encode()))
    absolute = [line.replace('h": "', f'h": "{server.url}/c/') for line in lines]
    (tmp_path / "all.jsonl").write_text("".join(absolute))
    assert len(ManifestCorpus(tmp_path / "all.jsonl")) == len(lines)
    for part in ("train", "val"):
        options: dict[str, Any] = {"split": part, "shares": [0.6, 0.4, 0.0]}
        corpus, local = (
            ManifestCorpus(listing, **options),
            ManifestCorpus(place / "all.jsonl", **options),
        )
        assert [each.id for each in corpus] == [each.id for each in local]
    ids = [each.id for each in ManifestCorpus(tmp_path / "all.jsonl")]
    assert ids == [each.id for each in ManifestCorpus(place / "all.jsonl")]


def test_lists_and_shards_in_a_store(memory: Any, known: Corpus, tmp_path: Path) -> None:
    for each in known:
        memory.pipe(f"/bucket/audio/{each.audio.name}", each.audio.read_bytes())
    table = "".join(f"{x.audio.name},{x.text},{x.speaker}\n" for x in known)
    memory.pipe("/bucket/lists/all.csv", f"path,text,speaker\n{table}".encode())
    found: list[Corpus] = [
        TableCorpus("lists/all.csv", "memory://bucket", audio_dir="../audio"),
        TableCorpus("memory://bucket/lists/all.csv", audio_dir="memory://bucket/audio/"),
    ]
    recordings = [
        {"id": x.id, "sources": [{"type": kind, "channels": [0], "source": place}]}
        for number, x in enumerate(known)
        for kind, place in [
            ("url", f"memory://bucket/audio/{x.audio.name}")
            if number % 2
            else ("file", f"audio/{x.audio.name}")
        ]
    ]
    supervisions = [
        {"id": x.id, "recording_id": x.id, "start": 0, "duration": x.duration, "text": x.text}
        for x in known
    ]
    for name, rows in (("r", recordings), ("s", supervisions)):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        memory.pipe(f"/bucket/{name}.jsonl", lines.encode())
    for options in (
        {"data_dir": "memory://bucket", "manifest": "s.jsonl"},
        {"manifest": "memory://bucket/s.jsonl"},
    ):
        found.append(LhotseCorpus(**options, recordings="r.jsonl"))
    for number in range(2):
        members: dict[str, Any] = {}
        for x in known[3 * number : 3 * number + 3]:
            members[f"{x.id}.flac"], members[f"{x.id}.txt"] = x.audio.read_bytes(), str(x.text)
        memory.pipe(f"/bucket/tars/t-{number}.tar", shard(tmp_path / "t.tar", members).read_bytes())
    index = tmp_path / "tars"
    found += [
        TarCorpus("t-{0..1}.tar", "memory://bucket/tars", index),
        TarCorpus("memory://bucket/tars/t-*.tar", None, index),
        TarCorpus([f"memory://bucket/tars/t-{number}.tar" for number in range(2)], None, index),
    ]
    for corpus in found:
        assert contents(corpus) == contents(known)
    with pytest.raises(DownloadError, match=r"tars/x-\*\.tar matches no file: check the address"):
        TarCorpus("memory://bucket/tars/x-*.tar")
    with pytest.raises(DownloadError, match=r"memory://bucket/tars is a folder, where a"):
        ManifestCorpus("memory://bucket/tars")
    with pytest.raises(ConfigError, match=r"cannot be listed over http: name the files"):
        TarCorpus("http://localhost/t-*.tar")


def test_what_has_changed_is_fetched_anew(server: Server, memory: Any, known: Corpus) -> None:
    put(server, known)
    listing = manifest(known, lambda path: f"wav/{path.name}", duration=0.2)
    shorter = b"".join(listing.splitlines(keepends=True)[:2])
    for etag in (None, '"1"'):
        address = server.put(f"/c/{etag and 'a'}.jsonl", Resource(listing, etag=etag))
        assert len(ManifestCorpus(address)) == len(known)
        server.put(f"/c/{etag and 'a'}.jsonl", Resource(shorter, etag=etag and '"2"'))
        assert len(ManifestCorpus(address)) == len(known)  # within a process it stays
        forget()
        assert len(ManifestCorpus(address)) == 2
    memory.pipe("/b/a.jsonl", manifest(known, lambda path: f"{server.url}/c/wav/{path.name}"))
    assert len(ManifestCorpus("memory://b/a.jsonl")) == len(known)
    forget()
    memory.pipe("/b/a.jsonl", shorter.replace(b"wav/", f"{server.url}/c/wav/".encode()))
    assert len(ManifestCorpus("memory://b/a.jsonl")) == 2


def test_without_a_network_the_copy_of_before_is_read(
    known: Corpus, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serve() as server:
        put(server, known)
        listing = manifest(known, lambda path: f"wav/{path.name}")
        address = server.put("/c/all.jsonl", Resource(listing, etag='"1"'))
        ManifestCorpus(address, limit=1)
    forget()
    assert contents(ManifestCorpus(address)) == contents(known)
    assert "all.jsonl cannot be reached or broke off" in caplog.text
    assert "the copy of before is read" in caplog.text
    with pytest.raises(
        DownloadError,
        match=r"other\.jsonl cannot be reached .*: check the network and start again",
    ):
        ManifestCorpus(address.replace("all", "other"))


def test_what_is_not_there_is_named(server: Server, known: Corpus) -> None:
    put(server, known)
    server.put(f"/c/wav/{known[1].audio.name}", Resource(status=404, reason="Not Found"))
    server.put(f"/c/wav/{known[2].audio.name}", Resource(status=403, reason="Forbidden"))
    for more in ({}, {"duration": 0.2}):
        listing = manifest(known, lambda path: f"wav/{path.name}", **more)
        corpus = ManifestCorpus(server.put("/c/all.jsonl", Resource(listing)))
        assert len(corpus) == len(known) - 2
        assert [each.reason for each in corpus.exclusions] == [
            "answers 404 Not Found",
            "answers 403 Forbidden",
        ]
    user = server.url.replace("//", "//me:secret@")
    with pytest.raises(DownloadError) as caught:
        ManifestCorpus(f"{user}/nothing.jsonl?sig=secret")
    assert str(caught.value) == (
        f"{server.url}/nothing.jsonl?... answers 404 Not Found: check the address, and that you"
        " may read what is there"
    )
    gone = server.put("/gone.jsonl", Resource(status=503, reason="Busy"))
    with pytest.raises(DownloadError, match=r"gone\.jsonl answers 503 Busy: check the network"):
        ManifestCorpus(gone)
    assert [each.path for each in server.requests].count("/gone.jsonl") == 4


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("s3://b/a.jsonl", r"s3://b/a.jsonl needs a package \(.*s3fs.*-r requirements-remote.txt"),
        ("gs://b/a.jsonl", r"gs://b/a.jsonl needs a package \(.*gcsfs.*: pip install gcsfs"),
    ],
)
def test_an_absent_package_is_one_sentence(
    address: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("s3fs", "gcsfs"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=said):
        ManifestCorpus(address)


@pytest.mark.parametrize(
    "address",
    ["file:///etc/passwd", "reference://a.json", "simplecache::s3://b/a", "s3://a::memory://b"],
)
def test_what_is_not_fetched(address: str) -> None:
    with pytest.raises((ConfigError, ManifestError), match=r"cannot be fetched|does not exist"):
        ManifestCorpus(address)


def test_a_fetched_list_reaches_nothing_of_this_machine(server: Server, tmp_path: Path) -> None:
    rows = [
        "/etc/passwd", "C:/a.wav", "file:///etc/passwd", "memory://a/b.wav", "ssh://host/a.wav",
    ]  # fmt: skip
    listing = "".join(json.dumps({"audio_filepath": row, "duration": 1}) + "\n" for row in rows)
    with pytest.raises(ManifestError, match="5 of 5 lines are wrong") as caught:
        ManifestCorpus(server.put("/a.jsonl", Resource(listing.encode())))
    assert "/etc/passwd is a path of another machine: write it relative" in str(caught.value)
    assert "recordings are not fetched from ssh://" in str(caught.value)
    above = json.dumps({"audio_filepath": "../../../../../../etc/passwd", "duration": 1})
    corpus = ManifestCorpus(server.put("/b.jsonl", Resource(above.encode())))
    assert [each.reason for each in corpus.exclusions] == ["answers 404 Not Found"]
    assert server.requests[-1].path == "/etc/passwd"  # of the server


def test_readers_of_folders_need_a_folder() -> None:
    for reader in (DirectoryCorpus, KaldiCorpus):
        with pytest.raises(ConfigError, match=r"s3://b/c is an address, but .* a folder"):
            reader("s3://b/c")


def test_recordings_to_transcribe(server: Server, known: Corpus, tmp_path: Path) -> None:
    put(server, known)
    addresses = [f"{server.url}/c/wav/{each.audio.name}" for each in known]
    lines = "".join(f"{each}\n" for each in addresses)
    (tmp_path / "all.txt").write_text(f"# a list\n{lines}")
    relative = "".join(f"wav/{each.audio.name} # that\n" for each in known)
    for audio in (
        addresses,
        str(tmp_path / "all.txt"),
        server.put("/c/all.txt", Resource(relative.encode())),
        server.put("/c/a.jsonl", Resource(manifest(known, lambda path: f"wav/{path.name}"))),
    ):
        found = contents(AudioCorpus(audio))
        assert [(x.id, x.samples) for x in found] == [(x.id, x.samples) for x in contents(known)]
    assert [each.id for each in AudioCorpus(addresses[1])] == [known[1].id]


def test_no_secret_is_written_anywhere(
    server: Server, tmp_path: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = write_corpus(tmp_path / "data", {"train": 4, "val": 2})
    for path in data.rglob("*.*"):
        name = path.relative_to(data).as_posix()
        for query in ("", "?sig=hunter2"):
            server.put(f"/{name}{query}", Resource(path.read_bytes()))
    base = server.url.replace("//", "//me:hunter2@")
    words = [
        f"datasets.{part}.manifest='{base}/{part}.jsonl?sig=hunter2'" for part in ("train", "val")
    ]
    run = ["trainer.n_epochs=1", "dataloader.num_workers=0", *words]
    with caplog.at_level(logging.DEBUG, "deepspeech2"):
        train(config("an4", *overrides(data, tmp_path / "saved", *run)))
    written = [path for path in (tmp_path / "saved").rglob("*") if path.is_file()]
    assert {"config.yaml", "info.log", "model_best.pth"} <= {path.name for path in written}
    assert not [path for path in written if b"hunter2" in path.read_bytes()]
    assert "hunter2" not in caplog.text
    saved = load(tmp_path / "saved" / "toy" / "model_best.pth")["config"]["datasets"]["val"]
    assert saved["manifest"] == f"{server.url}/val.jsonl?..."
    cached = [path for path in cache.rglob("*") if path.is_file()]
    assert not [
        path for path in cached if b"hunter2" in path.read_bytes() or "hunter2" in path.name
    ]


def test_the_recordings_are_read_from_this_disk(server: Server, known: Corpus) -> None:
    put(server, known)
    listing = manifest(known, lambda path: f"wav/{path.name}")
    corpus = ManifestCorpus(server.put("/c/all.jsonl", Resource(listing)))
    n_asked = len(server.requests)
    forget()
    for each, other in zip(corpus, known, strict=True):
        assert read_utterance(each, RATE).equal(read_utterance(other, RATE))
    assert len(server.requests) == n_asked


def test_an_error_does_not_wait_for_what_is_under_way(
    server: Server, known: Corpus, caplog: pytest.LogCaptureFixture
) -> None:
    put(server, known, drip="body")
    server.put(f"/c/wav/{known[-1].audio.name}", Resource(status=503))
    listing = manifest(known, lambda path: f"wav/{path.name}")
    address = server.put("/c/all.jsonl", Resource(listing))
    start = time.monotonic()
    with pytest.raises(DownloadError, match="answers 503"):
        ManifestCorpus(address)
    assert time.monotonic() - start < 10  # at ten bytes a second the others take many minutes
