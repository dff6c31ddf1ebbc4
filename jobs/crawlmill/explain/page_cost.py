"""What a page costs on Spark, stage by stage, where a lake has no runs of its own: `measured.yaml`, scaled to the pages of Common Crawl.

The pages that were measured are smaller than Common Crawl's and have less markup. So what extract takes grows with the bytes of a crawl file, what works
on texts with the bytes of a text, and the rest (rows, exchanges, which carry ids and narrow columns) with the number of documents.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from crawlmill.protocol import stage

SHIPPED = Path(__file__).parent / "measured.yaml"
STAGES = tuple(name for name in stage.NAMES if name != "recycle")  # those that every snapshot goes through
WORKS_ON_TEXT = {"identify", "rewrite", "measure", "sketch", "publish"}
STORES_TEXT = {"extract", "rewrite", "sketch", "publish"}  # sketch: shingles


@dataclass(frozen=True)
class Cost:
    """Core-seconds, bytes through an exchange and bytes stored: of one page for extract, of one document for the other stages."""

    core_seconds: float
    exchanged: float
    stored: float


def figures() -> dict[str, Any]:
    """The content of `measured.yaml`."""
    found: dict[str, Any] = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    return found


def by_stage(kind: str, found: dict[str, Any] | None = None) -> dict[str, Cost]:
    """What each stage takes.

    Args:
        kind: of crawl files, `warc` or `wet`.
        found: the figures; those of `measured.yaml` by default.
    """
    found = found or figures()
    work = found["work"]
    wider, longer = wider_longer(kind, found)
    costs = {}
    for name in STAGES:
        seen, units = work["stages"][name], work["pages"] if name == "extract" else work["documents"]
        time = wider if name == "extract" else longer if name in WORKS_ON_TEXT else 1.0
        space = longer if name in STORES_TEXT else 1.0
        costs[name] = Cost(
            seen["core_seconds"] * time / units, seen["exchanged_bytes"] / units, seen["stored_bytes"] * space / units
        )
    return costs


def wider_longer(kind: str, found: dict[str, Any]) -> tuple[float, float]:
    """How many times the bytes of a measured page a page of Common Crawl has, and a text those of a measured text; all compressed.

    A record of a WET file is a page's text.
    """
    work, crawl = found["work"], found["crawl"]
    page, text = (crawl[one]["file_bytes"] / crawl[one]["records"] for one in (kind, "wet"))
    return page / (work["bytes"] / work["pages"]), text / (work["text_bytes"] / work["documents"])
