"""Forms of an export: the golden values of MeCo, source-aware training, conditional tokens and Dataset Decomposition."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crawlmill.errors import UserError
from crawlmill.releases import export_shape
from crawlmill.text import forms
from tests.fixtures import prose

NEW = "CC-MAIN-2026-43"
TEXT = "Ice grows from the banks. In March it breaks! 河は岸から凍る。それから溶ける。\nDer Fluss (er ist lang.) ruht. End"


def rows(count: int, text: str | None = None) -> list[dict[str, Any]]:
    return [
        {
            "snapshot": NEW, "id": f"<urn:uuid:{n}>", "url": f"https://me@www.site{n}.example:8443/a", "language": "eng",
            "text": text or prose.article(n),
        }
        for n in range(count)
    ]  # fmt: skip


def made(form: str, own: list[dict[str, Any]], *options: str, **more: Any) -> list[dict[str, Any]]:
    shape = export_shape.shape(1.0, "" if form == "conditional" else form, () if form == "conditional" else options)
    chosen = {**forms.FORMS[form].options, **shape.options, **more.pop("set", {})}
    return list(forms.FORMS[form].make(own, chosen, forms.Tools(**more)))


def words(text: str) -> list[int]:
    return [hash(word) & 0xFFFF for word in text.split()]


def test_meco_says_where_a_page_is_from_in_nine_tenths_of_the_tokens() -> None:
    page = {**rows(1)[0], "url": "https://en.wikipedia.org/wiki/Cat"}
    assert made("meco", [page])[0]["text_prefix"] == "URL: en.wikipedia.org\n\n"
    assert made("meco", [page], "of=domain")[0]["text_prefix"] == "URL: wikipedia.org\n\n"
    own = [{**row, "token_count": len(words(row["text"]))} for row in rows(400)]
    found = made("meco", own, encode=words)
    assert [row["id"] for row in found] == [row["id"] for row in own], "the phases are disjoint, each document is in one"
    plain = [row for row in found if row["phase"] == 2]
    tokens, longest = sum(row["token_count"] for row in found), max(row["token_count"] for row in found)
    assert abs(sum(row["token_count"] for row in plain) - tokens / 10) <= longest
    assert all(row["text_prefix"] == "" and row["prefix_len"] == 0 for row in plain)
    assert all(row["text_prefix"] == f"URL: {row['url'].split('@')[1].split(':')[0]}\n\n" for row in found if row["phase"] == 1)
    assert all(row["prefix_len"] == 2 for row in found if row["phase"] == 1), "mask: 1 + prefix_len"
    assert [row["text"] for row in found] == [row["text"] for row in own]
    assert all(row["prefix_len"] is None for row in made("meco", own))


def test_sentences_are_the_text_in_pieces() -> None:
    found = forms.sentences(TEXT)
    assert "".join(found) == TEXT
    assert [one.strip() for one in found] == [
        "Ice grows from the banks.", "In March it breaks!", "河は岸から凍る。", "それから溶ける。", "Der Fluss (er ist lang.)", "ruht.", "End",
    ]  # fmt: skip
    for text in ("", " ", "...", "A... b?! (C.) D", "\n\nx.\n\n", "a.b c."):
        assert "".join(forms.sentences(text)) == text


@pytest.mark.parametrize("place", ["first", "last", "sentences", "words"])
def test_source_aware_tags_lead_back_to_their_documents(place: str) -> None:
    own = [*rows(50), *rows(1, TEXT), *rows(1, "one"), *rows(1, "Two lines\nand an end\n")]
    own = [{**row, "id": f"{row['id']} {at}"} for at, row in enumerate(own)]
    found = made("source-aware", own, f"place={place}", seed=3)
    assert len(found) == 3 * len(own) and [row["copy"] for row in found[:3]] == [0, 1, 2]
    by_tag = {row["doc_tag"]: row["id"] for row in found}
    assert len(by_tag) == len(own)
    mark = re.compile(r"<url>([a-z2-7]{16})</url>")
    for row in found:
        assert {by_tag[name] for name in mark.findall(row["text"])} == {row["id"]}
    texts = [" ".join(mark.sub("", row["text"]).split()) for row in found]
    if place in ("first", "last"):
        assert texts[::3] == [" ".join(row["text"].split()) for row in own], "copy 0 is the text"
        held = [Counter(re.findall(r"\w+", text)) for text in texts]
        assert held[::3] == held[1::3] == held[2::3]
        assert texts[150] != texts[151] != texts[152]
    assert found == made("source-aware", own, f"place={place}", seed=3) != made("source-aware", own, f"place={place}", seed=4)


def test_source_aware_places() -> None:
    def placed(place: str, text: str) -> str:
        return made("source-aware", rows(1, text), f"place={place}", "copies=0")[0]["text"].replace(forms.tag(rows(1)[0]), "T")

    assert placed("first", "A b. C d.") == "<url>T</url> A b. C d."
    assert placed("last", "A b. C d.") == "A b. C d. <url>T</url>"
    assert placed("sentences", "A b. C d. E.") == "A b. <url>T</url> C d. <url>T</url> E."
    assert placed("sentences", "One") == "One <url>T</url>"
    many = " ".join(map(str, range(45)))
    assert [len(part.split()) for part in placed("words", many).split("<url>T</url>")] == [20, 20, 5, 0]


def test_conditional_tokens_say_on_which_side_of_the_limit_a_sentence_is() -> None:
    limit = 0.00056
    values: dict[str, float | None] = {"Good.": limit, "Bad.": limit + 1e-6, "Fine.": 0.0, "Unknown.": None}

    def score(texts: Any, language: str) -> list[float | None]:
        assert language == "eng"
        return [values[text] for text in texts]

    (row,) = made("conditional", rows(1, "Good. Bad. Fine.\nUnknown."), score=score, set={"drop": 0.0})
    assert row["text"] == "<|aligned|>Good. <|misaligned|>Bad. <|aligned|>Fine.\nUnknown."
    found = made("conditional", rows(4_000, "Good. Bad. Good. Bad. Good."), score=score)
    tokens = sum(row["text"].count("<|") for row in found)
    assert abs(tokens / 20_000 - 0.99) < 0.002
    assert found[:50] == made("conditional", rows(50, "Good. Bad. Good. Bad. Good."), score=score)


def test_decomposition_golden() -> None:
    sizes = [2**bucket + 1 for bucket in forms.decomposed(1001)]
    assert forms.decomposed(1001) == [9, 8] and sizes == [513, 257] and 1001 - sum(sizes) == 231
    assert forms.decomposed(20_000) == [13, 13, 11, 10, 9]
    assert 20_000 - sum(2**bucket + 1 for bucket in forms.decomposed(20_000)) == 27
    assert forms.decomposed(256) == [] and forms.decomposed(257) == [8]
    drawn = Counter[int]()
    numbers: Iterator[float] = iter([(n + 0.5) / 6300 for n in range(6300)])
    for _ in range(6300):
        drawn[forms.decomposed(2**13 + 1 + 2**13, lambda: next(numbers))[0]] += 1
    assert drawn == {8: 100, 9: 200, 10: 400, 11: 800, 12: 1600, 13: 3200}


def test_decomposition_cuts_documents_and_mixes_none() -> None:
    own = rows(3, "a b c " * 7000) + rows(1, "too short")
    ids = {row["id"] for row in own}
    for option in ("random=false", "random=true"):
        found = made("decomposition", own, option, encode=words, token=lambda text: 7)
        assert all(len(row["tokens"]) == 2 ** row["bucket"] + 1 for row in found)
        assert all(row["batch_multiplier"] * 2 ** row["bucket"] == 2**13 for row in found)
        for id_ in ids:
            tokens = [token for row in found if row["id"] == id_ for token in row["tokens"]]
            assert tokens == words("a b c " * 7000)[: len(tokens)] and (len(tokens) > 20_700) == (id_ != "<urn:uuid:3>")
        assert found == made("decomposition", own, option, encode=words, token=lambda text: 7)
    (row,) = made("decomposition", rows(1, "a " * 256), encode=words, token=lambda text: 7)
    assert row["bucket"] == 8 and row["tokens"][-1] == 7, "the end is a token of the document"


@pytest.mark.parametrize("option", ["by=compression_ratio", "by=mtld", "by=flesch", "hardest_first=true"])
def test_every_shard_goes_from_easy_to_hard_through_all_deciles(option: str) -> None:
    own = rows(40)
    own[7]["text"] = "the same words again and again, " * 60
    own[9]["text"] = ""
    found = made("curriculum", own, option)
    assert found[-1]["id"] == own[9]["id"] and found[-1]["difficulty"] is found[-1]["difficulty_decile"] is None
    values = [row["difficulty"] for row in found[:-1]]
    assert values == sorted(values, reverse=option in ("by=flesch", "hardest_first=true"))
    assert set(Counter(row["difficulty_decile"] for row in found[:-1]).values()) == {3, 4}
    if option == "by=compression_ratio":
        assert found[0]["id"] == own[7]["id"], "what repeats itself is easy"
    assert sorted(row["id"] for row in found) == sorted(row["id"] for row in own)


@pytest.mark.parametrize(
    ("form", "options", "said"),
    [
        ("mecco", (), "no form 'mecco': the forms are meco"),
        ("", ("of=host",), "no form ''"),
        ("meco", ("share=1",), "no option 'share', but plain_share, of"),
        ("meco", ("plain_share",), "give --option key=value|plain_share must be a number"),
        ("meco", ("plain_share=-1",), "must be a number from 0"),
        ("meco", ("of=page",), "give one of host, domain"),
        ("source-aware", ("copies=1.5",), "copies must be a whole number from 0"),
        ("source-aware", ("copies=true",), "copies must be a whole number from 0"),
        ("decomposition", ("random=1",), "random must be true or false"),
        ("conditional", (), "no scorer '' that reads texts"),
    ],
)
def test_wrong_shapes_are_told(form: str, options: tuple[str, ...], said: str) -> None:
    with pytest.raises(UserError, match=said):
        export_shape.shape(1.0, form, options)


def test_a_form_says_what_it_lacks(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models

    wanted = export_shape.shape(1.0, "decomposition", ())
    with pytest.raises(UserError, match="give --tokenizer"):
        export_shape.tools(wanted, 0, None)
    vocabulary = Tokenizer(models.WordLevel({"?": 0, "</s>": 1}, unk_token="?")).to_str()
    with pytest.raises(UserError, match="no token '<|endoftext|>'"):
        export_shape.tools(wanted, 0, vocabulary)
    own = export_shape.tools(export_shape.shape(1.0, "decomposition", ("end=</s>",)), 0, vocabulary)
    assert own.token is not None and own.token("</s>") == 1


def test_a_scorer_of_the_recipe_judges_sentences(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("drat\n")
    scorer = {"kind": "words", "path": str(tmp_path / "bad.txt"), "languages": ["eng"]}
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps({"extends": "default", "measure": {"scorers": {"rude": scorer}}}))
    wanted = export_shape.shape(1.0, "conditional", ("scorer=rude",), str(recipe))
    tools = export_shape.tools(wanted, 0, None)
    (row,) = forms.conditional(rows(1, "Drat it. Well done."), wanted.options, tools)
    assert row["text"] == "<|misaligned|>Drat it. <|aligned|>Well done."
    (row,) = forms.conditional([{**rows(1, "Drat it.")[0], "language": "deu"}], wanted.options, tools)
    assert row["text"] == "Drat it.", "no score in another language, so no token"
