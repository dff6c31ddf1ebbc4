"""The verb `crawlmill why`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from crawlmill import layout
from crawlmill.cli import LAKE, RECIPE
from crawlmill.text_table import printable

SIGNS = {"min": "at least", "max": "at most"}


@click.command()
@click.argument("name", metavar="URL|ID")
@click.option("--files/--no-files", default=True, help="Name the data files that were read.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@LAKE
@RECIPE
def why(name: str, files: bool, as_json: bool, lake: str | None, recipe_file: str | None) -> None:
    """The path of a page through every stage and snapshot: where it was captured, what each stage said, why it is in or out.

    A text is shown by its beginning, personal data masked. Without Spark; the sorted table page_index says where to look.

    \b
    Example: crawlmill why https://example.org/rivers
    Example: crawlmill why 4d5a3b3e-5d0a-4b1c-9a55-0f6c2f5a9b11 --json
    """
    from crawlmill.explain import why as pages
    from crawlmill.lake import table
    from crawlmill.recipes import defined_at

    root = layout.lake_root(lake)
    table.require(root, "runs")
    found = pages.explain(root, name, defined_at.rulebook(recipe_file))
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, indent=1, default=str))
    else:
        for line in lines(found, files):
            click.echo(line)
    if not found["captures"]:
        raise click.exceptions.Exit(1)


def lines(found: dict[str, Any], files: bool = True) -> Iterator[str]:
    """An answer as text, control characters of pages escaped."""
    if found["taken_down"]:
        yield f"{printable(found['asked'])} was taken down by order {found['taken_down']}: `_control/takedowns.jsonl` in the lake says why"
    elif not found["captures"]:
        yield f"{printable(found['asked'])}: no snapshot of the lake has this page"
        if found["near"]:
            yield "of the same host:"
        yield from (f"  {printable(url)}" for url in found["near"])
    for capture in found["captures"]:
        yield f"{capture['snapshot']}  {capture['verdict'].upper()}"
        for label, text in facts(capture):
            yield f"  {label:<10} {printable(text)}"
    for other in found["also"]:
        yield f"also captured in {other['snapshot']}: {printable(other['id'])}, {other['outcome']}"
    if found["scanned"]:
        yield f"without an index, so looked through: {', '.join(found['scanned'])} (the next run of the gate writes page_index)"
    if files:
        yield f"{len(found['files'])} data files read:"
        yield from (f"  {name}" for name in found["files"])


def facts(capture: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What is known of a capture, as pairs of a label (empty: goes on) and a text of the page's own characters."""
    if capture["verdict"] == "rejected":
        yield from _rejected(capture)
        return
    yield "document", f"{capture['id']}, shard {capture['shard']}"
    if capture["verdict"] == "missing":
        yield "", "documents has no such row at the version that passed: the lake is damaged, or VACUUM took the files"
        return
    yield "url", capture["url"]
    if capture["parent_id"]:
        yield "derived", f"by recycling, from {capture['parent_id']}"
    yield "captured", f"{capture['date']} in {capture['file_path']}, byte {capture['offset']}, {capture['length']} bytes"
    source = f"{capture['charset_source']}: {capture['charset_source_means']}"
    yield "charset", f"{capture['charset']} ({source})" + (f"; cut: {capture['truncated']}" if capture["truncated"] else "")
    confidence = capture["extraction_confidence"]
    sure = "" if confidence is None else f", extracted with confidence {confidence:.2f}"
    yield "text", f"{capture['chars']} characters{sure}"
    yield "", capture["excerpt"]
    if capture["language"]:
        yield "language", _language(capture["language"], capture["html_lang"])
    yield from (("hook", _step(hook)) for hook in capture["hooks"])
    if capture["diff"]:
        yield "changed", capture["diff"]
    if capture["gate"]:
        yield from _gate(capture["gate"])
    if capture["cluster"]:
        yield from _cluster(capture["cluster"])
    if capture["corpus"]:
        yield "corpus", _corpus(capture["corpus"])
    for one in capture["releases"]:
        yield (
            "release",
            f"{one['name']} of {one['created_at'][:10]}: stands for {one['stands_for']} documents, rehydration weight {one['weight']}",
        )
    for hook in capture["recycled"]:
        yield "recycled", f"{_step(hook)}, in bucket {hook['bucket']}"
        yield from (("", f"made {identity}") for identity in hook["derived"])


def _step(hook: dict[str, Any]) -> str:
    """What a hook did, and what it took to ask."""
    because = f" ({hook['reason']})" if hook["reason"] else ""
    told = f"{hook['hook']} {hook['version']}: {hook['outcome']}{because}, {hook['edits']} edits"
    if not hook["model"]:
        return told
    tokens = f"{hook['prompt_tokens']} tokens read, {hook['completion_tokens']} written"
    return f"{told}; {hook['model']} answered {len(hook['requests'] or ())} requests, {tokens}, cost {hook['cost'] or 0:.4f}"


def _rejected(capture: dict[str, Any]) -> Iterator[tuple[str, str]]:
    reject = capture["reject"]
    yield "record", f"{capture['id']}, shard {capture['shard']}"
    if reject:
        yield "captured", f"{reject['file_path']}, byte {reject['offset']}, {reject['length']} bytes"
        yield "rejected", f"by {reject['stage']}: {reject['reason']}. {reject['means']}"
        yield "", reject["message"] or ""


def _language(found: dict[str, Any], declared: str | None) -> str:
    runner = f", then {found['runner_up']} {found['runner_up_score']:.2f}" if found["runner_up"] else ""
    said = f"; the page says {declared}" if declared else ""
    return f"{found['language']} in {found['language_script']}, {found['language_score']:.2f}{runner}{said}"


def _gate(gate: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "gate", "eligible: no rule fails" if gate["eligible"] else f"not eligible: {len(gate['failed'])} rules fail"
    for label, broken in (("fails", gate["failed"]), ("flagged", gate["flagged"])):
        for rule in broken:
            yield (
                label,
                f"{rule['rule']}: {rule['signal']} is {rule['value']:.4g}, {SIGNS[rule['op']]} {rule['limit']:g} is asked",
            )
            if rule["defined"]:
                yield "", f"defined in {rule['defined']}"
    if not gate["same_recipe"] and (gate["failed"] or gate["flagged"]):
        yield "", "judged by another recipe: name it with --recipe to see where its rules are defined"


def _cluster(cluster: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if cluster["kind"] == "survivor":
        yield "dedup", "stays: no alike document comes before it"
        return
    yield "dedup", f"{cluster['kind']} duplicate, similarity {cluster['similarity']:.3f}, of {cluster['survivor_id']}"
    stays = cluster["stays"]
    if stays:
        yield "stays", f"{stays['url']} of {stays['snapshot']}, {stays['date']}"
        shared = stays["shared"]
        yield (
            "shared",
            f"{100 * shared['left']:.0f} % of its words, {100 * shared['right']:.0f} % of the other's, in the same order:",
        )
        yield from (("", f"“{passage}”") for passage in shared["passages"])


def _corpus(corpus: dict[str, Any]) -> str:
    if not corpus["in"]:
        return f"not in version {corpus['version']}"
    since = f", since version {corpus['since']}" if corpus["since"] != corpus["version"] else ""
    return f"in version {corpus['version']}{since}, partition snapshot={corpus['snapshot']}/shard={corpus['shard']}"
