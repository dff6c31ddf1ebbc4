"""Shell verb `plan-dedup`: what a banding will do, before a corpus is sketched with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crawlmill.errors import UserError
from crawlmill.text_table import number, size

if TYPE_CHECKING:
    from crawlmill.dedup.plan_dedup import Corpus, Plan

BAR = 40


@click.command("plan-dedup")
@click.option("--documents", type=int, default=3_000_000_000, show_default=True, help="Documents to deduplicate.")
@click.option("--shingles", type=float, default=421, show_default=True, help="Mean distinct shingles of a document.")
@click.option("--distinct", type=float, default=1.0, show_default=True, help="Share of documents that are no exact copies.")
@click.option("--threshold", type=float, help="Similarity from which on a pair is near [the recipe's].")
@click.option("--bands", type=int, help="Bands to look at [the recipe's].")
@click.option("--rows", type=int, help="Rows of a band [the recipe's].")
@click.option("--recall", type=float, default=0.9, show_default=True, help="What the recommendation must find at the threshold.")
@click.option("--permutations", type=int, default=256, show_default=True, help="The most that the recommendation may take.")
@click.option("--background", type=float, default=0.005, show_default=True, help="Mean similarity of unrelated documents.")
@click.option("--similarities", "file", help="JSON: pairs per 1,000 documents by lower end of a step of .05 [measured ones].")
@click.option("--recipe", "recipe_file", help="Recipe file [CRAWLMILL_RECIPE].")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan_dedup(
    documents: int, shingles: float, distinct: float, threshold: float | None, bands: int | None, rows: int | None, recall: float,
    permutations: int, background: float, file: str | None, recipe_file: str | None, as_json: bool,
) -> None:  # fmt: skip
    """What a banding finds, misses and costs for a corpus, and which one to take.

    \b
    Example: crawlmill plan-dedup --documents 3000000000 --threshold 0.75
    """
    from crawlmill import layout
    from crawlmill.dedup import plan_dedup
    from crawlmill.recipes import recipe

    chosen = recipe.load(layout.recipe_path(recipe_file))
    at = chosen.dedup.threshold if threshold is None else threshold
    if not 0 < recall < 1:
        raise UserError(f"--recall is {recall:g}: give a share above 0 and below 1")
    given = {} if file is None else {"similarities": read_similarities(file)}
    corpus = plan_dedup.Corpus(documents, shingles, distinct, background, top=chosen.dedup.top, **given)
    now = plan_dedup.plan(
        corpus, chosen.sketch.bands if bands is None else bands, chosen.sketch.rows if rows is None else rows, at
    )
    best = plan_dedup.recommend(corpus, at, recall, permutations)
    if as_json:
        shown = {"asked": plan_dedup.as_json(now), "recommended": plan_dedup.as_json(best), "similarities": corpus.similarities}
        click.echo(json.dumps(shown, indent=1))
        return
    print_curves(now, best)
    print_costs(corpus, now, best, file)
    click.echo(_advice(now, best, recall, plan_dedup.datasketch_optimum(at, now.permutations)))


def read_similarities(file: str) -> dict[float, float]:
    """Pairs per 1,000 documents by similarity, out of a JSON object. Raises UserError naming the file."""
    try:
        found = json.loads(Path(file).read_text(encoding="utf-8"))
        return {float(similarity): float(pairs) for similarity, pairs in found.items()}
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from None
    except (ValueError, AttributeError, TypeError):
        raise UserError(
            f'{file} is no table of similarities: give a JSON object such as {{"0.75": 40, "0.80": 35}}, pairs per 1,000 documents'
        ) from None


def print_curves(now: Plan, best: Plan) -> None:
    """The S-curves of two plans, a line per similarity; `#` is the one asked about, `o` the recommended one."""
    from crawlmill.dedup.plan_dedup import meets

    click.echo(f"similarity  {now.bands:>3} x {now.rows:<3} {best.bands:>3} x {best.rows:<3}  probability to meet")
    for step in range(4, 21):
        similarity = step / 20
        first, second = meets(similarity, now.bands, now.rows), meets(similarity, best.bands, best.rows)
        bar = ("#" * round(BAR * first)).ljust(BAR + 1)
        at = round(BAR * second)
        mark = "  <- threshold" if abs(similarity - now.threshold) < 0.025 - 1e-9 else ""
        click.echo(f"{similarity:>10.2f}  {first:>9.4f} {second:>9.4f}  |{bar[:at]}o{bar[at + 1 :]}|{mark}")


def print_costs(corpus: Corpus, now: Plan, best: Plan, file: str | None) -> None:
    """What both plans find and cost, and the assumptions behind it."""
    click.echo(f"\nfor {corpus.documents:,} documents of {corpus.shingles:g} shingles, {corpus.distinct:.0%} of them distinct:")
    rows = [
        ("permutations", f"{now.permutations}", f"{best.permutations}"),
        ("half of the pairs meet at", f"{now.half:.3f}", f"{best.half:.3f}"),
        *((label, number(getattr(now, name)), number(getattr(best, name))) for name, label in COUNTS.items()),
        *((label, size(getattr(now, name)), size(getattr(best, name))) for name, label in SIZES.items()),
        ("shuffle partitions", f"{now.partitions:,}", f"{best.partitions:,}"),
        ("CPU hours, one core", number(now.cpu_seconds / 3600), number(best.cpu_seconds / 3600)),
    ]
    click.echo(f"{'':<50}{'asked':>16}{'recommended':>16}")
    for label, *values in rows:
        click.echo(f"{label:<50}" + "".join(f"{value:>16}" for value in values))
    source = f"those of {file}" if file else "those measured on pages of documentation (--similarities FILE for your own)"
    click.echo(
        f"\nassumed: pairs at each similarity are {source} and grow with the number of documents; two unrelated documents have a "
        f"similarity of {corpus.background:g} (--background). Bytes in exchanges are before compression."
    )


COUNTS = {
    "true_pairs": "pairs at or above the threshold",
    "found": "  of these found",
    "missed": "  of these missed (expected)",
    "false_candidates": "false candidates, compared for nothing",
    "unrelated": "  of these between unrelated documents",
    "compared": "pairs that are verified (hot buckets are capped)",
}
SIZES = {
    "stored_bytes": "stored shingle sets",
    "bands_bytes": "stored bands",
    "bands_shuffle": "exchanged: bands",
    "sets_shuffle": "exchanged: sets of candidates",
    "task_memory": "memory of one task",
    "one_process_memory": "memory of `crawlmill dedup` in one process",
}


def _advice(now: Plan, best: Plan, recall: float, optimum: tuple[int, int]) -> str:
    wanted = f"at least {recall:.1%} at {now.threshold:g}"
    verdict = (
        f"{now.bands} x {now.rows} finds {now.at_threshold:.1%} of the pairs at {now.threshold:g}. "
        f"Recommended for {wanted}: bands: {best.bands}, rows: {best.rows} ({best.at_threshold:.1%}), the least CPU time that does it."
    )
    return f"\n{verdict}\ndatasketch's least sum of errors with {now.permutations} permutations is {optimum[0]} x {optimum[1]}."
