"""The stage measure with what a recipe may ask for: lines with their spans, and files."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from crawlmill import table
from crawlmill.text.signals import LINES, SIGNALS, measure, measure_lines
from tests.fixtures.lakes import NEW, put_documents, record_id, run

PAGES = {
    "river": "The river is wide and slow in summer.\nWe cross it by boat every morning, and we like it.",
    "chinese": "我们在学习汉字。\n他们喜欢中国。",
    "thai": "แม่น้ำนี้กว้างมาก ผมชื่อสมชาย",
}


def test_lines_and_lists_on_request(spark: Any, lake: str, tmp_path: Path) -> None:
    domains = tmp_path / "domains.json"
    domains.write_text('{"river.example.org": 7}')
    recipe = tmp_path / "recipe.yaml"
    listed = f"{{path: {domains}, sha256: {hashlib.sha256(domains.read_bytes()).hexdigest()}}}"
    recipe.write_text(f"extends: default\nmeasure: {{lines: true, bad_domains: {listed}}}\n")
    put_documents(lake, NEW, PAGES)
    for stage in ("identify", "rewrite", "measure"):
        run(spark, lake, stage, NEW, recipe)
    rows = {
        row["id"]: row.asDict(recursive=True)
        for row in table.read(spark, lake, "signals", table.version(lake, "signals")).collect()
    }
    for name, text in PAGES.items():
        row = rows[record_id(f"{NEW}/{name}")]
        expected = measure(text, row["language"]) | {"rps_doc_ut1_blacklist": 7.0 if name == "river" else None}
        assert {signal: row[signal] for signal in SIGNALS} == expected
        assert row[LINES] == measure_lines(text)
