"""How many tokens of which domain a run takes, phase by phase, and weights that follow a run's losses: `crawlmill phases` and `online-weights`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from math import exp, log, sqrt
from pathlib import Path
from typing import Any

import yaml

from crawlmill.errors import UserError

DISCOUNT = 0.9  # of Online Data Mixing's mean of rewards


def phases(total: int, steps: Iterable[Mapping[str, Any]], have: Mapping[str, int]) -> dict[str, Any]:
    """Tokens by phase and domain, exact to the token, and how often each domain is then seen.

    A last phase with other weights is domain upsampling (Blakeney et al. 2024); two domains, new text and a tenth of replay, continued pretraining as
    EntiGraph's (Yang et al. 2024); many steps the trajectory of a Data Mixing Agent (Yang et al. 2025).

    Args:
        total: tokens of the run.
        steps: each with `share` of the run and `weights` by domain, of any sum; the shares add up to 1.
        have: tokens that there are of each domain.

    Raises:
        UserError: shares that are not 1 together, a weight below 0, a domain of which nothing is there.
    """
    found, at, taken = [], 0, dict.fromkeys(have, 0)
    steps = list(steps)
    if abs(sum(float(step["share"]) for step in steps) - 1) > 1e-6:
        raise UserError(f"the shares of the phases add up to {sum(float(step['share']) for step in steps):g}, not to 1")
    for size, step in zip(_apportioned(total, [float(step["share"]) for step in steps]), steps, strict=True):
        weights = {str(name): float(weight) for name, weight in step["weights"].items()}
        if wrong := next((name for name, weight in weights.items() if weight < 0 or (weight and not have.get(name))), None):
            raise UserError(
                f"a phase takes {weights[wrong]:g} of {wrong!r}, of which there is nothing: give its tokens under `have`"
            )
        tokens = dict(zip(weights, _apportioned(size, list(weights.values())), strict=True))
        for name, count in tokens.items():
            taken[name] = taken.get(name, 0) + count
        found.append({"from": at, "to": at + size, "tokens": tokens})
        at += size
    domains = {
        name: {"tokens": count, "have": have[name], "repeats": round(count / have[name], 4)}
        for name, count in taken.items()
        if count
    }
    return {"tokens": total, "phases": found, "domains": domains}


def _apportioned(total: int, weights: list[float]) -> list[int]:
    """Whole numbers in proportion to weights that add up to the total: what is left over goes to the greatest remainders."""
    if not sum(weights):
        raise UserError("a phase has no weight above 0: give it some")
    shares = [total * weight / sum(weights) for weight in weights]
    whole = [int(share) for share in shares]
    order = sorted(range(len(shares)), key=lambda at: (whole[at] - shares[at], at))
    for at in order[: total - sum(whole)]:
        whole[at] += 1
    return whole


def online_weights(domains: list[str], losses: Iterable[tuple[str, float]]) -> Iterator[dict[str, float]]:
    """Online Data Mixing (Albalak et al. 2023): after each loss of a domain, how the next batch should be drawn.

    Reward R of the domain becomes .9 R + .1 exp(loss); at step t, with K domains and e(t) the less of 1/K and sqrt(ln K / (K t)), a domain has
    exp(R e(t-1)) over the sum of these, times 1 - K e(t), plus e(t).

    Raises:
        UserError: a loss of a domain that is not named.
    """
    rewards, count = dict.fromkeys(domains, 0.0), len(domains)

    def least(step: int) -> float:
        return min(1 / count, sqrt(log(count) / (count * step))) if step else 1 / count

    for step, (domain, loss) in enumerate(losses, 1):
        if domain not in rewards:
            raise UserError(f"loss {step} is of {domain!r}, which is none of {', '.join(domains)}")
        rewards[domain] = DISCOUNT * rewards[domain] + (1 - DISCOUNT) * exp(loss)
        highest = max(rewards.values())
        drawn = {name: exp((reward - highest) * least(step - 1)) for name, reward in rewards.items()}
        total = sum(drawn.values())
        yield {name: value / total * (1 - count * least(step)) + least(step) for name, value in drawn.items()}


def read(name: str) -> dict[str, Any]:
    """The phases that a plan asks for; what there is of a domain is a number of tokens or the `index.json` of an export.

    Raises:
        UserError: a plan that cannot be read or lacks something.
    """
    try:
        plan = yaml.safe_load(Path(name).read_text(encoding="utf-8"))
        have = {str(domain): _tokens(value, Path(name).parent) for domain, value in plan["have"].items()}
        return phases(int(float(plan["tokens"])), plan["phases"], have)
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read ({error.strerror}): give a plan in YAML") from None
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{name} is no plan of phases ({type(error).__name__}: {error}): it needs `tokens`, `have` and `phases`"
        ) from None


def _tokens(value: Any, folder: Path) -> int:
    if not isinstance(value, str) or not value.endswith(".json"):
        return int(float(value))
    files = json.loads((folder / value).read_text(encoding="utf-8"))["files"]
    if any(file["tokens"] is None for file in files):
        raise UserError(f"the export of {value} counted no tokens: export with --tokenizer")
    return sum(file["tokens"] for file in files)
