"""FinGPT's filter of lines."""

from __future__ import annotations

from crawlmill.text.line_filter import filter_lines
from tests.fixtures import prose
from tests.unit.test_arpa import PROSE, model_of


def test_a_planted_line_goes_and_nothing_else_changes() -> None:
    model, text = model_of(PROSE), prose.article(2)
    lines = text.split("\n")
    most = 1 + max(value for value in model.perplexities(lines) if value is not None)
    junk = "xq zzv kkw qqp wrt " * 4
    assert filter_lines(text, model, most, 0.5) == text
    assert filter_lines(f"{lines[0]}\n{junk}\n" + "\n".join(lines[1:]), model, most, 0.2) == text
    assert filter_lines(f"Short.\n{junk}", model, most, 0.5) is None
    assert filter_lines(f"{text}\n\n{junk}\n\n{text}", model, most, 0.2) == f"{text}\n\n{text}"
