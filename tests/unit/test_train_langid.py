"""Own models: training from labelled files and tables, and using them by the registry, with labels as GlotLID and OpenLID have them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from crawlmill import layout
from crawlmill.errors import UserError
from crawlmill.recipes import recipe
from crawlmill.text.language import file_hash, identifier
from crawlmill.text.language_model import PREPARATIONS, Entry, entry, load

sys.path.insert(0, str(layout.jobs_dir()))
import train_langid

# Sentences of this test, varied by place and number; the two Serbian scripts tell what a label's script is for.
SENTENCES = {
    "deu_Latn": ["Die Stadt {} liegt an einem Fluss und hat {} Brücken.", "Im Winter fahren nach {} nur {} Züge am Tag."],
    "zul_Latn": [
        "Idolobha lase-{} lingasemfuleni futhi linamabhuloho angu-{}.",
        "Ebusika kuya e-{} izitimela ezingu-{} ngosuku.",
    ],
    "srp_Cyrl": ["Град {} лежи на реци и има {} мостова.", "Зими у {} иде само {} возова на дан."],
    "srp_Latn": ["Grad {} leži na reci i ima {} mostova.", "Zimi u {} ide samo {} vozova na dan."],
    "tha_Thai": ["เมือง {} ตั้งอยู่ริมแม่น้ำและมีสะพาน {} แห่ง", "ในฤดูหนาวมีรถไฟไป {} เพียง {} ขบวนต่อวัน"],
}


def rows() -> list[dict[str, str]]:
    found = []
    for label, sentences in SENTENCES.items():
        for number in range(60):
            place = "".join(chr(ord("A") + (number * step) % 26) for step in (3, 7, 11)).capitalize()
            found.append({"text": sentences[number % 2].format(place, number + 2), "label": label})
    return found


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("langid")
    data = folder / "labelled.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows()), encoding="utf-8")
    out = folder / "own.bin"
    command = [sys.executable, str(layout.jobs_dir() / "train_langid.py"), "--data", str(data), "--out", str(out)]
    done = subprocess.run([*command, "--bucket", "1048576", "--epoch", "20"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "macro-F1" in done.stdout
    (folder / "models.yaml").write_text(done.stdout[done.stdout.rindex("\nown:") :], encoding="utf-8")
    return out


@pytest.mark.parametrize(
    ("text", "code", "written"),
    [
        ("Die Brücken der Stadt im Winter", "deu", "Latn"),
        ("Idolobha linamabhuloho ebusika", "zul", "Latn"),
        ("Град има много мостова", "srp", "Cyrl"),
        ("Grad leži na reci", "srp", "Latn"),
        ("เมืองตั้งอยู่ริมแม่น้ำ", "tha", "Thai"),
    ],
)
def test_a_model_with_labels_of_language_and_script(trained: Path, text: str, code: str, written: str) -> None:
    wanted = recipe.from_mapping({"identify": {"model": str(trained), "sha256": file_hash(trained), "min_score": 0}})
    (row,) = identifier(wanted.identify).identify([text])
    assert (row.language, row.language_script, row.model) == (code, written, file_hash(trained))
    assert row.model_score == row.language_score > 0.3


def test_the_registry_of_a_recipe(trained: Path, tmp_path: Path) -> None:
    written = trained.parent / "recipe.yaml"
    written.write_text("extends: default\nidentify: {model: own, registry: models.yaml, min_score: 0}\n", encoding="utf-8")
    options = recipe.load(written).identify
    assert (options.sha256, options.labels, options.text) == (file_hash(trained), "iso", "line")
    assert identifier(options).identify(["Idolobha linamabhuloho"])[0].language == "zul"
    changed = Path(str(trained.parent / "models.yaml"))
    assert recipe.load(written).hash(["identify"]) != recipe.load().hash(["identify"])
    before = changed.read_text(encoding="utf-8")
    other = tmp_path / "models.yaml"
    other.write_text(before.replace("text: line", "text: letters"), encoding="utf-8")
    (tmp_path / "recipe.yaml").write_text(written.read_text(encoding="utf-8"), encoding="utf-8")
    assert recipe.load(tmp_path / "recipe.yaml").hash(["identify"]) != recipe.load(written).hash(["identify"])
    other.write_text(before.replace("sha256: ", "sha256: 0000"), encoding="utf-8")
    with pytest.raises(UserError, match="the recipe says 0000"):
        identifier(recipe.load(tmp_path / "recipe.yaml").identify)


@pytest.mark.parametrize("content", ["- a\n", "own: {file: x, colour: red}\n", "own: [\n"])
def test_a_wrong_registry(tmp_path: Path, content: str) -> None:
    wrong = tmp_path / "models.yaml"
    wrong.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=r"registry of models .*models\.yaml"):
        entry("own", str(wrong))
    with pytest.raises(UserError, match="cannot be read"):
        entry("own", str(tmp_path / "absent.yaml"))


def test_a_model_without_a_hash_is_named_in_one_sentence() -> None:
    with pytest.raises(UserError, match=r"model 'glotlid' has no hash: write its file's sha256 into `identify\.sha256`"):
        recipe.from_mapping({"identify": {"model": "glotlid"}})


def test_labels_by_a_table_and_from_a_package(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = file_hash(trained)
    table = dict.fromkeys(SENTENCES, "deu Latn") | {"tha_Thai": "tha Thai"}
    found = load(Entry(file=str(trained), sha256=digest, labels=table))
    assert found.languages == {"deu", "tha"}
    package = trained.parent / "ownmodels"
    package.mkdir(exist_ok=True)
    (package / "__init__.py").write_text("")
    (package / "own.bin").write_bytes(trained.read_bytes())
    monkeypatch.syspath_prepend(str(trained.parent))
    assert load(Entry(file="ownmodels:own.bin", sha256=digest)).guess("Die Stadt im Winter")[0].language == "deu"


def test_preparations() -> None:
    assert PREPARATIONS["line"]("Ab\n c\u2028 3!") == "Ab c 3!"
    assert PREPARATIONS["letters"]("Don't 3 PAINS-au-chocolat!\nहिन्दी १") == "dont painsauchocolat हिन्दी"
    assert PREPARATIONS["line"]("a\ud800b") == "a?b"


def test_the_same_data_give_the_same_file(tmp_path: Path) -> None:
    options = train_langid.Options(bucket=1 << 20, epoch=2)
    data = [(row["text"], row["label"]) for row in rows()]
    texts, held_out = train_langid.split(data, options)
    assert (texts, held_out) == train_langid.split(reversed([*data, *data[:20]]), options)
    assert 0 < len(held_out) < len(texts) / 4
    assert not {text for text, _ in texts} & {text for text, _ in held_out}
    for name in ("a", "b"):
        train_langid.train(texts, tmp_path / name, options)
    assert file_hash(tmp_path / "a") == file_hash(tmp_path / "b")


def test_training_reads_tables_and_refuses_what_is_no_label(tmp_path: Path) -> None:
    from deltalake import write_deltalake

    write_deltalake(str(tmp_path / "table"), pa.table({"body": ["Guten Tag", None], "lang": ["deu", "deu"]}))
    assert list(train_langid.rows_of([str(tmp_path / "table")], "body", "lang")) == [("Guten Tag", "deu")]
    with pytest.raises(UserError, match="has no column 'text'"):
        list(train_langid.rows_of([str(tmp_path / "table")], "text", "lang"))
    (tmp_path / "rows.jsonl").write_text('{"text": "a", "label": "german"}\n')
    with pytest.raises(UserError, match="row 1: 'german' is no label"):
        list(train_langid.rows_of([str(tmp_path / "rows.jsonl")], "text", "label"))
    with pytest.raises(UserError, match="has no columns 'text' and 'lang'"):
        list(train_langid.rows_of([str(tmp_path / "rows.jsonl")], "text", "lang"))
    with pytest.raises(UserError, match="5000 buckets are too few"):
        train_langid.train([("a", "deu"), ("b", "eng")], tmp_path / "small.bin", train_langid.Options(bucket=5000))
    with pytest.raises(UserError, match="fewer than two languages"):
        train_langid.train([("a", "deu")], tmp_path / "one.bin", train_langid.Options())
