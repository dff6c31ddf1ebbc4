"""The verbs around mixtures: `crawlmill phases` and `online-weights`."""

from __future__ import annotations

import json
from collections.abc import Iterator

import click

from crawlmill import rowfile
from crawlmill.errors import UserError
from crawlmill.releases import mixture


@click.command()
@click.argument("plan")
@click.option("--out", "-o", default="-", metavar="FILE", help="phases.json to write [standard output].")
def phases(plan: str, out: str) -> None:
    """Tokens of each domain in each phase of a run, and how often a domain is repeated, from a PLAN in YAML.

    \b
    A plan: what there is (tokens, or the index.json of an export that counted them), and weights by phase:
      tokens: 1e12
      have: {web: 2e12, code: exports/code/index.json}
      phases:
        - {share: 0.8, weights: {web: 78, code: 22}}
        - {share: 0.2, weights: {web: 65, code: 35}}

    \b
    Example: crawlmill phases plan.yaml -o phases.json
    """
    with rowfile.whole_file(out) as file:
        file.write((json.dumps(mixture.read(plan), indent=1, ensure_ascii=False) + "\n").encode())


@click.command("online-weights")
@click.argument("losses")
@click.option("--domain", "domains", multiple=True, required=True, help="Of the mixture; give all of them, at least two.")
def online_weights(losses: str, domains: tuple[str, ...]) -> None:
    """Weights of a mixture that follow a run's losses (Online Data Mixing): a line after each row (domain, loss) of LOSSES, `-` a trainer's pipe.

    \b
    Example: crawlmill online-weights losses.jsonl --domain web --domain code
    """
    if len(set(domains)) < 2:
        raise UserError("a mixture has at least two domains: give --domain for each")
    for weights in mixture.online_weights(list(dict.fromkeys(domains)), _losses(losses)):
        click.echo(json.dumps({name: round(weight, 6) for name, weight in weights.items()}))


def _losses(name: str) -> Iterator[tuple[str, float]]:
    for number, row in enumerate(rowfile.read(name), 1):
        try:
            yield str(row["domain"]), float(row["loss"])
        except (KeyError, TypeError, ValueError):
            raise UserError(
                f"{name} row {number} has no domain with a loss: each row needs `domain` and a number `loss`"
            ) from None
