"""Recipes: what a file may say, what its errors say, and that the hash is of the content alone."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from crawlmill import layout, limits
from crawlmill.errors import UserError
from crawlmill.recipes import recipe, recipe_extract


def write(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def refused(folder: Path, text: str) -> str:
    """The message for a recipe that must not load: one line."""
    path = write(folder, text)
    with pytest.raises(UserError) as caught:
        recipe.load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert caught.value.exit_code == 2
    return message


def test_default_recipe_loads_and_is_json() -> None:
    default = recipe.load()
    assert default.dedup.threshold == 0.8
    assert (default.sketch.bands, default.sketch.rows, default.sketch.ngram) == (14, 8, 5)
    assert [hook.name for hook in default.rewrite.hooks] == ["unicode_repair", "mask_pii"]
    assert json.loads(json.dumps(default.slice())) == default.slice()
    assert set(default.slice()) == set(recipe.SECTIONS)


def test_five_lines_are_a_recipe(tmp_path: Path) -> None:
    mine = recipe.load(
        write(
            tmp_path,
            "extends: default\ngate:\n  rules:\n    gopher_short_doc: {limit: 30}\n  limits: {deu: {list_ratio: null}}\n",
        )
    )
    default = recipe.load()
    assert mine.gate.rules["gopher_short_doc"].limit == 30
    assert mine.gate.rules["gopher_short_doc"].signal == "gopher_word_count"
    assert mine.gate.limits["deu"]["list_ratio"] is None
    assert mine.gate.limits["deu"]["dup_line_frac"] == default.gate.limits["deu"]["dup_line_frac"]
    assert mine.hash(["gate"]) != default.hash(["gate"])
    assert mine.hash(["extract", "dedup"]) == default.hash(["extract", "dedup"])


def test_a_recipe_extends_a_neighbour_that_extends_the_default(tmp_path: Path) -> None:
    write(tmp_path, "extends: default\ndedup: {threshold: 0.7, top: 4}\n", "base.yaml")
    mine = recipe.load(write(tmp_path, "extends: base\ndedup: {threshold: 0.9}\n"))
    assert (mine.dedup.threshold, mine.dedup.top) == (0.9, 4)


def test_null_takes_a_rule_and_its_limits_away(tmp_path: Path) -> None:
    mine = recipe.load(write(tmp_path, "extends: default\ngate: {rules: {list_ratio: null}}\n"))
    assert "list_ratio" not in mine.gate.rules
    assert not any("list_ratio" in by_rule for by_rule in mine.gate.limits.values())


def test_hash_is_of_the_content_not_of_the_file(tmp_path: Path) -> None:
    values = yaml.safe_load((layout.recipes_dir() / "default.yaml").read_text(encoding="utf-8"))
    turned = {key: values[key] for key in reversed(values)}
    turned["dedup"] = {key: turned["dedup"][key] for key in reversed(turned["dedup"])}
    turned["gate"]["limits_from"] = [str(layout.recipes_dir() / name) for name in turned["gate"]["limits_from"]]
    other = recipe.load(write(tmp_path, json.dumps(turned, indent=7)))
    assert other.hash() == recipe.load().hash()
    assert other.hash(["dedup", "gate"]) == other.hash(["gate", "dedup"])


def test_hash_is_the_same_in_another_process() -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(layout.jobs_dir())}
    code = "from crawlmill.recipes import recipe; print(recipe.load().hash())"
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == recipe.load().hash()


def test_an_option_written_out_as_its_default_changes_no_hash(tmp_path: Path) -> None:
    short = recipe.load(write(tmp_path, "extends: default\nrewrite: {hooks: [{name: unicode_repair}]}\n", "a.yaml"))
    text = "extends: default\nrewrite: {hooks: [{name: unicode_repair, options: {nfc: false}}]}\n"
    assert recipe.load(write(tmp_path, text, "b.yaml")).hash() == short.hash()
    text = text.replace("false", "true")
    assert recipe.load(write(tmp_path, text, "c.yaml")).hash(["rewrite"]) != short.hash(["rewrite"])


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("extends: default\ndedup:\n  thresold: 0.9\n", ["mine.yaml line 3", "dedup.thresold", "'thresold' -> 'threshold'"]),
        ("extends: default\ndedpu: {}\n", ["mine.yaml line 2", "'dedpu' -> 'dedup'"]),
        ("extends: default\nextract:\n  limits:\n    max_tag: 1\n", ["line 4", "'max_tag' -> 'max_tags'"]),
        ("extends: default\ndedup: {threshold: 1.5}\n", ["line 2", "dedup.threshold", "1.5", "less than or equal to 1"]),
        ("extends: default\ndedup: {threshold: much}\n", ["line 2", "'much'", "number"]),
        ("extends: default\ndedup: {threshold: .nan}\n", ["dedup.threshold"]),
        ("extends: default\ndedup: {order: oldset}\n", ["dedup.order", "'oldest', 'newest' or 'content'"]),
        ("extends: defualt\n", ["'defualt' -> 'default'"]),
        ("extends: mine\n", ["extends itself"]),
        ("extends: [default]\n", ["one recipe"]),
        (
            "extends: default\nrewrite: {hooks: [{name: mask_pi}]}\n",
            ["line 2", "no hook named 'mask_pi'", "'mask_pi' -> 'mask_pii'"],
        ),
        (
            "extends: default\nrewrite: {hooks: [{name: mask_pii, options: {emial: true}}]}\n",
            ["no option 'emial'", "'emial' -> 'email'"],
        ),
        ("extends: default\nrewrite: {hooks: [{name: mask_pii, options: {email: 1}}]}\n", ["must be a bool, not 1"]),
        ("extends: default\nrewrite: {hooks: [{name: mask_pii, version: '0'}]}\n", ["in version '0'", "installed is"]),
        (
            "extends: default\ngate: {rules: {mine: {signal: rps_doc_word_cuont, op: min, limit: 1}}}\n",
            ["unknown signal", "'rps_doc_word_cuont' -> 'rps_doc_word_count'"],
        ),
        ("extends: default\ngate: {rules: {mine: {signal: rps_doc_word_count, op: least, limit: 1}}}\n", ["gate.rules.mine.op"]),
        ("extends: default\ngate: {limits: {deu: {list_rato: 1}}}\n", ["unknown rule", "'list_rato' -> 'list_ratio'"]),
        ("extends: default\ngate: {limits: {de: {list_ratio: 1}}}\n", ["'de' is no language", "'de' -> 'deu'"]),
        ("extends: default\ngate: {languages: [deu, ger]}\n", ["'ger' -> 'deu'"]),
        ("extends: default\ngate: {limits: {srp_Cyrrl: {list_ratio: 1}}}\n", ["'srp_Cyrrl' is no language"]),
        ("extends: default\ngate: {limits: {deu: {dup_line_frac: 2}}}\n", ["no document can break", "write null"]),
        ("extends: default\ngate: {rules: {line_punct_ratio: {limit: 0}}}\n", ["no document can break"]),
        ("extends: default\ngate: {limits_from: fineweb3.tsv}\n", ["'fineweb3.tsv' -> 'fineweb2.tsv'", "neither a file"]),
        ("extends: default\ngate: {inverse: [top_5]}\n", ["line 2", "no rule is called 'top_5'"]),
        ("extends: default\ngate: {limits: {Cyrrl: {list_ratio: 1}}}\n", ["'Cyrrl' is no language", "no script"]),
        (
            "extends: default\ngate: {rules: {list_ratio: {severity: warn}}}\n",
            ["gate.rules.list_ratio.severity", "'reject' or 'flag'"],
        ),
        ("extends: default\nmeasure: {definition: '99'}\n", ["'99' are not installed"]),
        ("extends: default\ndedup: {top: 1}\ndedup: {top: 2}\n", ["line 3", "'dedup' is written twice, first in line 2"]),
        ("extends: default\ndedup: {top: 1\n", ["no valid YAML", "line"]),
        ("dedup: {top: 1}\n", ["'identify' is missing", "extends: default"]),
        ("- dedup\n", ["must be a mapping of sections"]),
        ("", ["is missing"]),
        ("extends: default\ndedup: null\n", ["dedup"]),
        ("extends: default\nidentify: {sha256: 'abc'}\n", ["identify.sha256"]),
        ("extends: default\nextract: {shards: 1001}\n", ["extract.shards"]),
        ("extends: default\nextract: {files: 0}\n", ["extract.files"]),
        ("extends: default\n? [a, b]\n: 1\n", ["mine.yaml"]),
    ],
)
def test_errors_name_the_place_and_the_remedy(tmp_path: Path, text: str, parts: list[str]) -> None:
    message = refused(tmp_path, text)
    for part in parts:
        assert part in message


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        recipe.load(tmp_path / "absent.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"extends: d\xe9fault\n")
    with pytest.raises(UserError, match="cannot be read"):
        recipe.load(tmp_path / "latin.yaml")


def test_an_unknown_section_of_a_slice() -> None:
    with pytest.raises(UserError, match="'gat' -> 'gate'"):
        recipe.load().slice(["gat"])


def test_values_in_code_leave_the_mapping_alone() -> None:
    values = {"gate": {"rules": {"list_ratio": None}}}
    assert "list_ratio" not in recipe.from_mapping(values).gate.rules
    assert values == {"gate": {"rules": {"list_ratio": None}}}


def test_limits_are_those_of_the_readers() -> None:
    read = limits.Limits()
    assert recipe.load().extract.read_limits() == read
    assert set(recipe_extract.Limits.model_fields) | {"mimes", "mimes_excluded"} == {
        field.name for field in dataclasses.fields(read)
    }


def test_star_takes_all_rules_of_the_base_away(tmp_path: Path) -> None:
    text = 'extends: default\ngate: {rules: {"*": null, mine: {signal: rps_doc_word_count, op: min, limit: 7}}}\n'
    mine = recipe.load(write(tmp_path, text)).gate
    assert list(mine.rules) == ["mine"]
    assert mine.limits == {}


def test_tables_of_limits_later_ones_first_own_limits_above_all(tmp_path: Path) -> None:
    write(tmp_path, "label\tlist_ratio\tdup_line_frac\ndeu\t0.5\t0.6\nGrek\toff\town\n", "first.tsv")
    write(tmp_path, "deu: {dup_line_frac: 0.7}\nqaa: {dup_line_frac: 0.8}\n", "second.yaml")
    text = "extends: default\ngate: {limits_from: [first.tsv, second.yaml], limits: {Grek: {list_ratio: 0.2}}}\n"
    limits = recipe.load(write(tmp_path, text)).gate.limits
    assert limits["deu"] == {"list_ratio": 0.5, "dup_line_frac": 0.7}
    assert limits["Grek"] == {"list_ratio": 0.2, "dup_line_frac": "own"}
    assert "qaa" in limits  # a table may be of more languages than the model tells
    assert recipe.load(write(tmp_path, "extends: default\ngate: {limits_from: null}\n", "b.yaml")).gate.limits == {}
    assert recipe.load(write(tmp_path, "extends: default\ngate: {limits_from: first.tsv}\n", "c.yaml")).gate.limits.keys() == {
        "deu",
        "Grek",
    }


@pytest.mark.parametrize(
    ("table", "parts"),
    [
        ("label\tlist_rato\ndeu\t0.5\n", ["limits.tsv line 2", "'list_rato' -> 'list_ratio'"]),
        ("label\tlist_ratio\ndeu\tmuch\n", ["limits.tsv line 2", "'much'", "`off`"]),
        ("label\tdup_line_frac\ndeu\t1.3\n", ["limits.tsv line 2", "no document can break", "write null"]),
        ("label\tdup_line_frac\nGerman\t0.3\n", ["limits.tsv line 2", "'German' is no language"]),
        ("label\tlist_ratio\ndeu\t0.5\ndeu\t0.6\n", ["limits.tsv line 3", "twice"]),
        ("label\tlist_ratio\ndeu\t0.5\t0.6\n", ["limits.tsv line 2", "too many cells"]),
        ("list_ratio\ndeu\t0.5\n", ["limits.tsv line 1", "`label` first"]),
    ],
)
def test_errors_in_tables_name_file_and_line(tmp_path: Path, table: str, parts: list[str]) -> None:
    write(tmp_path, table, "limits.tsv")
    message = refused(tmp_path, "extends: default\ngate: {limits_from: limits.tsv}\n")
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("sketch: {bands: yes}", ["sketch.bands", "line 2", "truth value", "write a number"]),
        ("gate: {rules: {list_ratio: {limit: on}}}", ["gate.rules.list_ratio.limit", "truth value"]),
        ("gate: {limits: {deu: {list_ratio: true}}}", ["gate.limits.deu.list_ratio", "truth value"]),
        ("gate: {limits: {deu: {list_ratio: offf}}}", ["'gate.limits.deu.list_ratio' is 'offf'", "valid number", "or 'own'"]),
        ("gate: {limits: {no: {list_ratio: 0.2}}}", ["False", "write it in quotes"]),
        ("gate: {languages: [no]}", ["gate.languages.0", "write it in quotes"]),
        ("gate: {languages: []}", ["gate.languages", "at least 1"]),
        ("gate: {rules: {list_ratio: {languages: []}}}", ["gate.rules.list_ratio.languages", "at least 1"]),
        ("extract: {mime: []}", ["extract.mime", "at least 1"]),
        ("extract: {shards: 2000}", ["'extract.shards' is 2000", "'auto', or less than or equal to 900"]),
        ("sketch: {rows: 1000000000}", ["sketch.rows", "256"]),
        ("sketch: {seed: 99999999999}", ["sketch.seed", "4294967296"]),
        ("gate: {rules: {hook_proposal: {signal: rps_doc_word_count, op: min, limit: 3}}}", ["no rule may be called 'hook_proposal'"]),
        ("gate: {rules: {'': {signal: rps_doc_word_count, op: min, limit: 3}}}", ["no rule may be called ''"]),
        ("gate: {rules: {note: {signal: rps_doc_word_count, op: min, limit: 3}}}", ["no rule may be called 'note'"]),
        ("gate: &a {rules: *a}", ["nested too deeply, or an alias"]),
    ],
)  # fmt: skip
def test_slips_that_yaml_lets_pass(tmp_path: Path, text: str, parts: list[str]) -> None:
    message = refused(tmp_path, f"extends: default\n{text}\n")
    assert "mine.yaml" in message
    for part in parts:
        assert part in message


def test_truth_values_where_they_are_meant_and_numbers_in_any_form(tmp_path: Path) -> None:
    text = "extends: default\nmeasure: {lines: yes}\nsketch: {bands: '14'}\n"
    hooks = "rewrite: {lines: {false_positives: 1e-6}, hooks: [{name: mask_pii, options: {ip: no}}]}\n"
    found = recipe.load(write(tmp_path, text + hooks))
    assert found.measure.lines is True and found.rewrite.lines and found.rewrite.lines.false_positives == 1e-6
    assert found.rewrite.hooks[0].options["ip"] is False


def test_a_recipe_that_unfolds_without_end_is_refused_at_once(tmp_path: Path) -> None:
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 9))
    message = refused(tmp_path, f"l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n{levels}\n")
    assert "300,000 values" in message and "aliases" in message


def test_a_great_many_unknown_keys_are_three_clauses(tmp_path: Path) -> None:
    message = refused(tmp_path, "extends: default\n" + "".join(f"k{n}: {n}\n" for n in range(2000)))
    assert message.count("unknown key") == 3 and "and 1997 more" in message


def test_a_table_of_limits_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "own.tsv").write_text("\ufefflabel\tlist_ratio\r\ndeu\t0.2\r\n", encoding="utf-8", newline="")
    found = recipe.load(write(tmp_path, "extends: fineweb\ngate: {limits_from: [own.tsv]}\n"))
    assert found.gate.limits == {"deu": {"list_ratio": 0.2}}
    for cell in ("nan", "inf", "1e999"):
        (tmp_path / "own.tsv").write_text(f"label\tlist_ratio\ndeu\t{cell}\n")
        assert f"own.tsv line 2: list_ratio is {cell!r}: write a number" in refused(
            tmp_path, "extends: fineweb\ngate: {limits_from: [own.tsv]}\n"
        )
