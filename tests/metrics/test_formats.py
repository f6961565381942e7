"""Every form in which predictions come, as the systems that write them document it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deepspeech2.errors import ManifestError
from deepspeech2.fields import PREDICTION, TEXT
from deepspeech2.metrics.predictions import (
    DUPLICATE,
    EMPTY,
    EMPTY_REFERENCE,
    NO_REFERENCE,
    read_objects,
)
from deepspeech2.metrics.report import with_fields
from deepspeech2.metrics.tabular import read_apart, read_table
from tests.datasets.test_manifest import lines_run

PAIRS = [("the cat", "the cat"), ("a dog ran", "a dog"), ("café au lait", "cafe au lait")]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_nemos_manifest_with_predictions(tmp_path: Path) -> None:
    """NeMo's transcribe_speech.py: the manifest's keys and pred_text."""
    lines = [
        {"audio_filepath": f"/data/{n}.wav", "duration": 1.5, "text": ref, "pred_text": hyp}
        for n, (ref, hyp) in enumerate(PAIRS)
    ]
    lines.append({**lines[0], "offset": 3.5})
    found = read_objects(write(tmp_path / "a.json", "\n".join(map(json.dumps, lines))))
    assert found.pairs == [*PAIRS, PAIRS[0]]
    assert [entry.name for entry in found.entries] == ["0", "1", "2", "0@3.5"]
    assert found.entries[0].fields["duration"] == 1.5


@pytest.mark.parametrize("ending", ["json", "jsonl"])
def test_an_array_or_a_single_object(tmp_path: Path, ending: str) -> None:
    rows = [{"text": ref, "pred_text": hyp} for ref, hyp in PAIRS]
    whole = write(tmp_path / f"a.{ending}", json.dumps(rows, indent=2))
    assert read_objects(whole).pairs == PAIRS
    one = write(tmp_path / "b.json", json.dumps({"id": "u", **rows[0]}, indent=2))
    assert read_objects(one).pairs == PAIRS[:1]


def test_quotation_marks_of_a_table_by_tabs_are_text(tmp_path: Path) -> None:
    rows = 'id\ttext\tpred_text\n1\t"hello\thello\n2\tthe 5" disk\tthe 5 disk\n3\t"a," b\ta b\n'
    found = read_table(write(tmp_path / "a.tsv", rows))
    assert found.pairs == [('"hello', "hello"), ('the 5" disk', "the 5 disk"), ('"a," b', "a b")]
    quoted = write(tmp_path / "b.tsv", 'text\tpred_text\n"one\ntwo"\tone two\n')
    assert read_table(quoted).pairs == [("one\ntwo", "one two")]


def test_recordings_of_one_name_in_several_folders_are_no_duplicates(tmp_path: Path) -> None:
    lines = [
        {"audio_filepath": path, "text": "a", "pred_text": "a"}
        for path in ("ann/0001.wav", "bob/0001.wav", "bob/0002.wav", "bob/0002.wav")
    ]
    found = read_objects(write(tmp_path / "a.json", "\n".join(map(json.dumps, lines))))
    assert [entry.name for entry in found.entries] == ["ann/0001", "bob/0001", "0002"]
    assert found.skipped[DUPLICATE] == ["0002"]


def test_numbers_are_names_too(tmp_path: Path) -> None:
    lines = [{"id": n, "text": "a", "pred_text": "a"} for n in (0, 1, 1)]
    found = read_objects(write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, lines))))
    assert [entry.name for entry in found.entries] == ["0", "1"]
    assert found.skipped[DUPLICATE] == ["1"]


def test_the_predecessors_folder(tmp_path: Path) -> None:
    """A file an utterance, with the two texts and nothing else."""
    for n, (ref, hyp) in enumerate(PAIRS):
        content = json.dumps({"pred_text": hyp, "text": ref})
        write(tmp_path / f"test-clean/output_{n}.json", content)
    found = read_objects(tmp_path)
    assert found.pairs == PAIRS
    assert [entry.name for entry in found.entries] == [
        f"test-clean/output_{n}.json" for n in range(3)
    ]


def test_lines_end_as_they_may(tmp_path: Path) -> None:
    """Windows' line ends, and characters that only some programs take for one."""
    strange = "one\u2028two\x0bthree"
    references = write(tmp_path / "ref", f"u1 {strange}\r\nu2 four\r\n")
    found = read_apart(write(tmp_path / "hyp", f"u1 {strange}\nu2 four"), references)
    assert found.pairs == [(strange, strange), ("four", "four")]
    table = write(tmp_path / "a.csv", 'id,text,pred_text\r\nu1,"one\r\ntwo",one two\r\n')
    assert read_table(table).pairs == [("one\ntwo", "one two")]


def test_kaldis_text(tmp_path: Path) -> None:
    """An utterance a line: its id and its words; an id alone is an empty text."""
    references = "".join(f"spk-{n} {ref}\n" for n, (ref, _) in enumerate(PAIRS))
    hypotheses = "".join(f"spk-{n}\t{hyp}\n" for n, (_, hyp) in enumerate(PAIRS[:2])) + "spk-2\n"
    found = read_apart(write(tmp_path / "text", hypotheses), write(tmp_path / "ref", references))
    assert found.pairs == [*PAIRS[:2], ("café au lait", "")]
    assert found.missing == []
    assert found.remarks()[EMPTY] == ["spk-2"]


def test_sclites_trn(tmp_path: Path) -> None:
    """Words, and the id in brackets at the end; lines that begin with ;; are remarks."""
    texts = [
        ";; a remark\n" + "".join(f"{pair[side]} (s1-{n})\n" for n, pair in enumerate(PAIRS))
        for side in (1, 0)
    ]
    found = read_apart(*(write(tmp_path / f"{n}.trn", text) for n, text in enumerate(texts)))
    assert found.pairs == PAIRS
    assert [entry.name for entry in found.entries] == ["s1-0", "s1-1", "s1-2"]


def test_a_folder_beside_a_file(tmp_path: Path) -> None:
    for n, (_, hypothesis) in enumerate(PAIRS[:2]):
        write(tmp_path / f"pred/u{n}.txt", hypothesis)
    write(tmp_path / "pred/extra.txt", "more")
    references = "".join(f"u{n} {ref}\n" for n, (ref, _) in enumerate(PAIRS))
    found = read_apart(tmp_path / "pred", write(tmp_path / "text", references))
    assert found.pairs == [*PAIRS[:2], ("café au lait", "")]
    assert found.missing == ["u2"]
    assert found.skipped[NO_REFERENCE] == ["extra"]


@pytest.mark.parametrize(
    ("name", "header", "line"),
    [
        ("a.csv", "id,text,pred_text", "{n},{ref},{hyp}"),
        ("b.csv", "Reference;Hypothesis;speaker", '"{ref}";"{hyp}";ann'),
        ("c.tsv", "path\tsentence\tprediction", "clips/{n}.mp3\t{ref}\t{hyp}"),
        ("d.csv", "hyp,ref", '"{hyp}","{ref}"'),
    ],
)
def test_tables(tmp_path: Path, name: str, header: str, line: str) -> None:
    lines = [line.format(n=n, ref=ref, hyp=hyp) for n, (ref, hyp) in enumerate(PAIRS)]
    found = read_table(write(tmp_path / name, "\n".join([header, *lines]) + "\n\n"))
    assert found.pairs == PAIRS
    assert len({entry.name for entry in found.entries}) == 3
    if "speaker" in header:
        assert found.entries[0].fields["speaker"] == "ann"


def test_common_voices_table(tmp_path: Path) -> None:
    """Mozilla's columns, and one with what was heard."""
    header = "client_id\tpath\tsentence\tup_votes\tage\tpredicted"
    lines = [f"c{n}\tcv_{n}.mp3\t{ref}\t2\t\t{hyp}" for n, (ref, hyp) in enumerate(PAIRS)]
    found = read_table(write(tmp_path / "test.tsv", "\n".join([header, *lines])))
    assert found.pairs == PAIRS
    assert [entry.name for entry in found.entries] == ["cv_0", "cv_1", "cv_2"]
    fields = found.entries[1].fields
    assert (fields["speaker"], fields["client_id"]) == ("c1", "c1")
    assert fields["audio_path"] == "cv_1.mp3"


@pytest.mark.parametrize("reference", TEXT)
@pytest.mark.parametrize("hypothesis", PREDICTION)
def test_keys_of_other_programs(tmp_path: Path, reference: str, hypothesis: str) -> None:
    rows = [
        {"file": f"{n}.flac", reference: ref, hypothesis: hyp, "speaker_id": n, "utt_id": f"u{n}"}
        for n, (ref, hyp) in enumerate(PAIRS)
    ]
    found = read_objects(write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows))))
    assert found.pairs == PAIRS
    assert [entry.name for entry in found.entries] == ["u0", "u1", "u2"]
    assert [entry.fields["speaker"] for entry in found.entries] == ["0", "1", "2"]
    table = "\n".join([",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)])
    assert read_table(write(tmp_path / "a.csv", table)).pairs == PAIRS


def test_decoded_sound_is_no_path(tmp_path: Path) -> None:
    row = {"audio": {"array": [0.0]}, "file": "x.wav", "transcription": "a", "prediction": "b"}
    found = read_objects(write(tmp_path / "a.jsonl", json.dumps(row)))
    assert (found.entries[0].name, found.entries[0].fields["audio_path"]) == ("x", "x.wav")


@pytest.mark.parametrize(
    ("segments", "names"),
    [(["s0", "s1", "s2"], ["s0", "s1", "s2"]), ([0, 1, 0], ["talk-0", "1", "more-0"])],
)
def test_segments_that_have_ids(tmp_path: Path, segments: list[object], names: list[str]) -> None:
    rows = [
        {"audio": audio, "segment_id": segment, "text": "a", "hyp": "a"}
        for audio, segment in zip(("talk.wav", "talk.wav", "more.wav"), segments, strict=True)
    ]
    found = read_objects(write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows))))
    assert [entry.name for entry in found.entries] == names


def test_keys_of_which_several_may_be_meant(tmp_path: Path) -> None:
    row = {"sentence": "a", "transcript": "b", "hyp": "c"}
    message = "transcript and sentence may each be the text: call the one that is meant text"
    with pytest.raises(ManifestError, match=f"line 1: {message}"):
        read_objects(write(tmp_path / "a.jsonl", json.dumps(row)))
    table = write(tmp_path / "a.csv", "sentence,transcript,hyp\na,b,c\n")
    with pytest.raises(ManifestError, match=f"a.csv: {message}"):
        read_table(table)
    named = read_objects(write(tmp_path / "b.jsonl", json.dumps({**row, "text": "d"})))
    assert named.pairs == [("d", "c")]


def test_keys_that_nobody_knows(tmp_path: Path) -> None:
    row = {"wav_id": "a", "words": "b", "asr": "c"}
    known = "it needs one of pred_text, hypothesis, .* but its keys are asr, wav_id, words"
    with pytest.raises(ManifestError, match=known):
        read_objects(write(tmp_path / "a.jsonl", json.dumps(row)))


def test_what_is_there_twice_or_empty_is_named(tmp_path: Path) -> None:
    lines = [
        {"id": "a", "text": "one", "pred_text": "one"},
        {"id": "a", "text": "one", "pred_text": "two"},
        {"id": "b", "text": "", "pred_text": "three"},
        {"id": "c", "text": "four", "pred_text": " "},
    ]
    found = read_objects(write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, lines))))
    assert [entry.name for entry in found.entries] == ["a", "b", "c"]
    remarks = found.remarks()
    assert (remarks[DUPLICATE], remarks[EMPTY_REFERENCE], remarks[EMPTY]) == (["a"], ["b"], ["c"])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "", "no column for the prediction"),
        ("a.csv", "pred_text,words\nx,y\n", "no column for the reference"),
        ("a.csv", "pred_text,text\n", "has no row"),
        ("a.csv", "pred_text,text\na,b\nc\n", "line 3, has 1 columns, but the header has 2"),
        ("a.csv", 'pred_text,text\n"a"b,c\n', "line 2, is no row of a table"),
        ("a.tsv", "text\tpred_text\nonly\n", "line 2, has 1 columns"),
    ],
)
def test_tables_that_are_malformed(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        read_table(write(tmp_path / name, text))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a", "", "is empty"),
        ("a", ";; nothing\n", "is empty"),
        ("a", "u1 one\nu1 two\n", "line 2, names u1 a second time"),
        ("a.trn", "one two\n", "line 1, must end with an id"),
        ("a.trn", "{ one / two } three (u1)\n", "line 1, has alternatives"),
        ("a", "u9 one\n", "have no name in common"),
        ("a.txt", "\xff", None),
    ],
)
def test_texts_that_are_malformed(
    tmp_path: Path, name: str, text: str, message: str | None
) -> None:
    reference = write(tmp_path / "reference", "u1 one\n")
    source = write(tmp_path / name, text)
    if message is None:
        source.write_bytes(b"u1 \xff\n")
    with pytest.raises(ManifestError, match=message or "cannot be read"):
        read_apart(source, reference)


def segments(path: Path, count: int) -> Path:
    """Of one recording, a tenth of a second apart, in its fourth hour."""
    lines = (
        {"audio_filepath": "talk.wav", "offset": 12345 + n / 10, "text": "a", "pred_text": "a"}
        for n in range(count)
    )
    return write(path, "\n".join(map(json.dumps, lines)))


def test_segments_of_one_recording_are_told_apart_to_the_millisecond(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    found = read_objects(segments(path, 30))
    assert [entry.name for entry in found.entries[:2]] == ["talk@12345", "talk@12345.1"]
    close = [{"audio_filepath": "b.wav", "offset": at, "text": "", "pred_text": ""} for at in
             (12345.001, 12345.002)]  # fmt: skip
    found = read_objects(write(path, "\n".join(map(json.dumps, close))))
    assert [entry.name for entry in found.entries] == ["b@12345.001", "b@12345.002"]


def test_segments_of_one_recording_take_no_more_than_their_number(tmp_path: Path) -> None:
    few, many = (segments(tmp_path / f"{n}.jsonl", n) for n in (200, 400))

    def work(path: Path) -> int:
        return lines_run(lambda: with_fields(read_objects(path), str(path)).remarks())

    assert work(many) < 2.5 * work(few)
