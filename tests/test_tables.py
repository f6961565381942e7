"""Tables for a terminal and for Markdown, and what their cells may contain."""

from __future__ import annotations

from deepspeech2.tables import markdown_table, text_table

HEADER, ROWS = ("part", "WER"), [("dev", "9.5 %"), ("a\nb", "10.25 %")]


def test_columns_are_aligned() -> None:
    lines = text_table(HEADER, ROWS, n_left=1, rule=True).splitlines()
    assert lines == [
        "part          WER",
        "--------  -------",
        "dev         9.5 %",
        r"a\u000ab  10.25 %",
    ]
    assert text_table(HEADER, ROWS[:1]) == "part  WER\ndev   9.5 %"
    assert text_table(HEADER, []) == "part  WER"


def test_markdown_is_padded_where_a_terminal_shows_it() -> None:
    assert markdown_table(HEADER, ROWS[:1]) == "| part | WER |\n| --- | --- |\n| dev | 9.5 % |"
    assert markdown_table(HEADER, [], right=[1]) == "| part | WER |\n| --- | ---: |"
    assert markdown_table(HEADER, ROWS[:1], right=[1], padded=True).splitlines() == [
        "| part |   WER |",
        "| ---- | ----: |",
        "| dev  | 9.5 % |",
    ]


def test_a_cell_ends_neither_its_row_nor_its_column() -> None:
    row = markdown_table(("a",), [("x|y\n<b>\x1b",)]).splitlines()[2]
    assert row == r"| x\|y &lt;b>\u001b |"
