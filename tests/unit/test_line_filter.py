"""FinGPT's filter of lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from crawlmill.errors import UserError
from crawlmill.recipes import recipe
from crawlmill.text import arpa, hooks, scorer_file
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


def test_the_hook_takes_out_lines_of_its_languages_and_needs_a_limit(tmp_path: Path) -> None:
    file, text = tmp_path / "own.arpa", prose.article(2)
    with file.open("w", encoding="utf-8") as out:
        arpa.write(model_of(PROSE), out)
    junk = "xq zzv kkw qqp wrt " * 4
    most = 1 + max(value for value in model_of(PROSE).perplexities(text.split("\n")) if value is not None)
    named = {"arpa": str(file), "sha256": scorer_file.sha256(file), "languages": ["eng"], "max_perplexity": most}
    (spec,) = recipe.from_mapping({"rewrite": {"hooks": [{"name": "line_perplexity", "options": named}]}}).rewrite.hooks
    chosen = hooks.chosen([spec])

    def done(text: str, language: str = "eng") -> tuple[str | None, str]:
        final, (step,) = hooks.run_hooks(hooks.Document(text, language=language), chosen)
        return final, step.outcome

    assert done(f"{text}\n{junk}") == (text, "changed")
    assert done(text) == (None, "unchanged") and done(f"{text}\n{junk}", "fin") == (None, "unchanged")
    assert done(f"Short.\n{junk}") == (None, "dropped_proposal")
    for wrong, words in (
        ({"max_perplexity": 0}, "a limit above 1"), ({"min_remaining": 2}, "from 0 to 1"), ({"arpa": ""}, "give its option `arpa`"),
        ({"arpa": "/absent.arpa"}, "/absent.arpa, which the recipe names, is missing"), ({"sha256": "0" * 64}, "write that into"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=words):
            recipe.from_mapping({"rewrite": {"hooks": [{"name": "line_perplexity", "options": named | wrong}]}})
