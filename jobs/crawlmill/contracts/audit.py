"""Expectations of a contract against the rows of a table: the only importer of Great Expectations.

One validation a table, on aggregates alone; only what failed is run again, for three offending rows. Results are plain values,
since the record of a judgement is a row of `quality`, not a page of Great Expectations.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crawlmill.contracts.contract import Contract

if TYPE_CHECKING:
    from great_expectations.datasource.fluent.interfaces import Batch
    from great_expectations.expectations.expectation import Expectation
    from pyspark.sql import DataFrame

SAMPLES = 3
SAMPLE_CHARS = 80
PARAMETER = "$PARAMETER"
KEYS = ("snapshot", "shard", "id", "file_path", "offset")  # what finds a row again: shown with its value, never masked
# What may identify a person in a sample: an e-mail address, an IP address, a run of 7 or more digits with the usual separators.
PERSONAL = re.compile(
    r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+"
    r"|\b(?:\d{1,3}\.){3}\d{1,3}\b"
    r"|(?<![\w:])(?:[0-9a-f]{0,4}:){3,7}[0-9a-f]{1,4}(?![\w:])"
    r"|(?<!\w)\+?\(?\d(?:[\s().-]{0,2}\d){6,}(?!\w)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ExpectationResult:
    """One judgement: `observed`, `limit` and `samples` can be written as JSON; `error` is set where it could not be evaluated."""

    expectation: str
    column: str | None
    severity: str
    description: str
    success: bool
    observed: Any
    limit: Any
    samples: list[Any]
    error: str | None


def audit(df: DataFrame, contract: Contract, parameters: Mapping[str, Any]) -> list[ExpectationResult]:
    """Judge all rows of `df`, a table's rows of one snapshot, by its contract's expectations, in the contract's order.

    `parameters` are the numbers that expectations refer to by `{$PARAMETER: name, times: factor}`. An expectation that cannot be
    evaluated fails with its error; one whose parameter is absent is skipped where the contract says `whenAbsent: info`.
    """
    results: dict[str, ExpectationResult] = {}
    ready: dict[str, tuple[dict[str, Any], Expectation]] = {}
    for rule in contract.expectations:
        try:
            limits = _resolve(rule["kwargs"], parameters)
        except KeyError as absent:
            results[rule["name"]] = _absent(rule, str(absent.args[0]))
            continue
        try:
            ready[rule["name"]] = ({**rule, "kwargs": limits}, _expectation(rule, limits))
        except Exception as error:  # Great Expectations raises what it likes for a wrong type or argument
            results[rule["name"]] = _result({**rule, "kwargs": limits}, False, error=_first_line(error))
    results.update(_run(df, contract.table, ready))
    return [results[rule["name"]] for rule in contract.expectations]


def verdict(results: Sequence[ExpectationResult]) -> str:
    """`failed` if a critical expectation failed, else `warned` if a warning did, else `passed`."""
    failed = {result.severity for result in results if not result.success}
    return "failed" if "critical" in failed else "warned" if "warning" in failed else "passed"


def mask(value: Any) -> Any:
    """A sample that can be shown: personal data replaced, long text cut."""
    if isinstance(value, Mapping):
        return {str(key): mask(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [mask(inner) for inner in value]
    if not isinstance(value, str):
        return value if isinstance(value, (bool, int, float, type(None))) else mask(str(value))
    shown = PERSONAL.sub("***", value)
    return shown if len(shown) <= SAMPLE_CHARS else shown[: SAMPLE_CHARS - 1] + "…"


def _resolve(value: Any, parameters: Mapping[str, Any]) -> Any:
    """Replace references to parameters by numbers; raises KeyError with the name of one that is absent."""
    if isinstance(value, Mapping) and PARAMETER in value:
        name = value[PARAMETER]
        if parameters.get(name) is None:
            raise KeyError(name)
        return parameters[name] if "times" not in value else round(parameters[name] * value["times"])
    if isinstance(value, Mapping):
        return {key: _resolve(inner, parameters) for key, inner in value.items()}
    return [_resolve(inner, parameters) for inner in value] if isinstance(value, list) else value


def _absent(rule: Mapping[str, Any], name: str) -> ExpectationResult:
    if rule["when_absent"] == "info":
        return _result({**rule, "severity": "info"}, True, observed=f"not judged: no {name} to compare with")
    return _result(rule, False, error=f"parameter {name} was not given to the audit")


def _expectation(rule: Mapping[str, Any], kwargs: Mapping[str, Any]) -> Expectation:
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    logging.getLogger("great_expectations").setLevel(logging.CRITICAL)
    _spare("scipy", "stats")
    from great_expectations.expectations.registry import get_expectation_impl

    kind = get_expectation_impl(rule["type"])
    expectation: Expectation = kind(**kwargs, severity=rule["severity"], meta={"name": rule["name"]})
    return expectation


def _spare(package: str, name: str) -> None:
    """Have a module that Great Expectations imports, and hardly any expectation uses, loaded at its first use: a second of every stage."""
    if (full := f"{package}.{name}") in sys.modules:
        return
    spec = importlib.util.find_spec(full)  # this loads the package
    if spec and spec.loader:
        spec.loader = importlib.util.LazyLoader(spec.loader)
        sys.modules[full] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        setattr(sys.modules[package], name, module)


def _run(df: DataFrame, table: str, ready: Mapping[str, tuple[dict[str, Any], Expectation]]) -> dict[str, ExpectationResult]:
    """Validate once without samples, then what failed once more with them."""
    if not ready:
        return {}
    df = _judged(df, [rule for rule, _ in ready.values()]).persist()  # several queries look at the same columns
    try:
        return _outcomes(df, _batch(df, table), ready)
    finally:
        df.unpersist()


def _judged(df: DataFrame, rules: Sequence[Mapping[str, Any]]) -> DataFrame:
    """The columns that rules name, and those that find a row again: never the texts, which no rule looks at."""
    named = set(re.findall(r"\w+", json.dumps([rule["kwargs"] for rule in rules], default=str)))
    return df.select(*(name for name in df.columns if name in named or name in KEYS))


def _outcomes(
    df: DataFrame, batch: Batch, ready: Mapping[str, tuple[dict[str, Any], Expectation]]
) -> dict[str, ExpectationResult]:
    found = _validate(batch, [expectation for _, expectation in ready.values()], samples=0)
    again = [name for name, outcome in found.items() if not outcome.success and outcome.result.get("unexpected_count")]
    shown = _validate(batch, [ready[name][1] for name in again], samples=SAMPLES) if again else {}
    results = {}
    for name, (rule, _) in ready.items():
        seen = found[name].result or {}
        error = _raised(found[name].exception_info) or _vacuous(seen, rule)
        samples = [] if found[name].success or error else _samples(df, rule["kwargs"], shown.get(name))
        results[name] = _result(
            rule, bool(found[name].success) and not error, observed=_observed(seen), samples=samples, error=error
        )
    return results


def _vacuous(seen: Mapping[str, Any], rule: Mapping[str, Any]) -> str | None:
    """Great Expectations passes over nulls, so a column of nulls alone passes every check of its values."""
    rows = seen.get("element_count") or 0
    return (
        f"every value of {rule['kwargs'].get('column')} is null: nothing was judged"
        if 0 < rows == seen.get("missing_count")
        else None
    )


def _samples(df: DataFrame, kwargs: Mapping[str, Any], shown: Any) -> list[Any]:
    """Three unexpected rows, masked: what finds them again and the value, or what the expectation's own query gives."""
    from pyspark.sql import functions as F

    if query := kwargs.get("unexpected_rows_query"):
        found = df.sparkSession.sql(query.replace("{batch}", "{rows}"), rows=df).limit(SAMPLES).collect()
        return [mask(row.asDict(recursive=True)) for row in found]
    if shown is None:
        return []
    column = kwargs["column"]
    known = [value for value in shown.result.get("partial_unexpected_list") or [] if value is not None]
    wanted = F.col(column).isin(known) if known else F.col(column).isNull()
    keys = [name for name in KEYS if name in df.columns and name != column]
    found = df.where(wanted).select(*keys, column).limit(SAMPLES).collect()
    return [{**{name: _plain(row[name]) for name in keys}, column: mask(row[column])} for row in found]


def _batch(df: DataFrame, table: str) -> Batch:
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_spark("lake", persist=False).add_dataframe_asset(table)
    return asset.add_batch_definition_whole_dataframe("rows").get_batch({"dataframe": df})


def _validate(batch: Batch, expectations: Sequence[Expectation], samples: int) -> dict[str, Any]:
    """Name -> Great Expectations' result; BASIC without samples keeps observed values and needs the fewest Spark jobs."""
    import great_expectations as gx

    suite = gx.ExpectationSuite(name="contract", expectations=list(expectations))
    report = batch.validate(suite, result_format={"result_format": "BASIC", "partial_unexpected_count": samples})
    return {outcome.expectation_config.meta["name"]: outcome for outcome in report.results if outcome.expectation_config}


def _observed(result: Mapping[str, Any]) -> Any:
    """The aggregate that was judged: a value, or how many of how many rows were unexpected."""
    if "observed_value" in result:
        return mask(_plain(result["observed_value"]))
    if "unexpected_count" not in result:
        return None
    return {"unexpected": result["unexpected_count"], "rows": result.get("element_count")}


def _raised(info: Any) -> str | None:
    """The message of the exception behind a result, where there is one: GX gives one, or one a metric."""
    if not info:
        return None
    entries = [info] if "raised_exception" in info else list(info.values())
    raised = [entry for entry in entries if isinstance(entry, Mapping) and entry.get("raised_exception")]
    return _first_line(raised[0].get("exception_message") or "it could not be evaluated") if raised else None


def _first_line(error: object) -> str:
    text = str(error).strip() or type(error).__name__
    return str(PERSONAL.sub("***", text.splitlines()[0][:400]))


def _plain(value: Any) -> Any:
    """A value that JSON can hold."""
    try:
        return json.loads(json.dumps(value, allow_nan=False, default=str))
    except ValueError:
        return str(value)


def _result(rule: Mapping[str, Any], success: bool, **seen: Any) -> ExpectationResult:
    kwargs = dict(rule["kwargs"])
    return ExpectationResult(
        expectation=rule["name"],
        column=kwargs.pop("column", None),
        severity=rule["severity"],
        description=rule["description"],
        success=success,
        observed=seen.get("observed"),
        limit=_plain(kwargs),
        samples=seen.get("samples") or [],
        error=seen.get("error"),
    )
