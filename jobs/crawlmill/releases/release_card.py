"""The data card of a release, made of its manifest: what a person reads before training on it."""

from __future__ import annotations

from typing import Any

from crawlmill.contracts import contract

ADDED = {
    "minhash_cluster_size": "Documents of the release's snapshots that this one stands for, itself included.",
    "exact_copies": "Of these, identical ones.",
    "near_copies": "Of these, near duplicates, each verified against this document.",
    "urls": "Distinct addresses among them.",
    "snapshots": "Distinct snapshots among them.",
    "first_seen": "Earliest capture among them.",
    "last_seen": "Latest capture among them.",
    "rehydration_weight": "How often FineWeb2's formula would repeat it, computed on this release's clusters.",
}


def card(manifest: dict[str, Any]) -> str:
    """Markdown: totals, languages, columns, how it was made, how to read and how to check it."""
    total = manifest["total"]
    lines = [
        f"# {manifest['name']}",
        "",
        f"Text of {len(manifest['snapshots'])} Common Crawl snapshots ({', '.join(manifest['snapshots'])}): {total['documents']:,} documents,"
        f" {total['characters']:,} characters, {total['bytes']:,} bytes of UTF-8. They stand for {total['stands_for']:,} documents that passed the gate.",
        "",
        "Made by crawlmill "
        + manifest["code_version"]
        + ". The recipe, the version of every table that was read and a digest a language are in "
        "`manifest.json`; `corpus/` is a Delta table, partitioned by snapshot.",
        "",
        "| language | documents | characters | stand for |",
        "|---|---:|---:|---:|",
        *_languages(manifest["languages"]),
        "",
        "| column | what |",
        "|---|---|",
        *(f"| {column.name} | {column.description} |" for column in contract.load("corpus").fields),
        *(f"| {name} | {what} |" for name, what in ADDED.items()),
        "",
        "Web pages belong to their authors; Common Crawl's terms of use apply. Names and opinions of people are in them: personal data was masked as "
        "the recipe's section `rewrite` says, no further.",
    ]
    return "\n".join(lines) + "\n"


def _languages(rows: list[dict[str, Any]]) -> list[str]:
    """A line a language and script, the largest first."""
    sums: dict[str, list[int]] = {}
    for row in rows:
        own = sums.setdefault(f"{row['language']}_{row['language_script']}", [0, 0, 0])
        for place, what in enumerate(("documents", "characters", "stands_for")):
            own[place] += row[what]
    ordered = sorted(sums.items(), key=lambda entry: (-entry[1][0], entry[0]))
    return [f"| {name} | {documents:,} | {characters:,} | {stands:,} |" for name, (documents, characters, stands) in ordered]
