"""crawlmill.text.extractor: tokens, blocks, features, trees, choice, text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType
from hypothesis import given, settings
from hypothesis import strategies as st
from resiliparse.parse.html import HTMLTree

from crawlmill.text import charset, complexity
from crawlmill.text.extractor import blocks as segmentation
from crawlmill.text.extractor import context, features, lexicon, markup, raw, trees, words
from crawlmill.text.extractor.arrays import Lookup, code, eight, first_bytes, names, octets
from crawlmill.text.extractor.choose import SURE, best_threshold, choose, sure, without_repeats
from crawlmill.text.extractor.compiled import native
from crawlmill.text.extractor.features import Analysis
from crawlmill.text.extractor.markdown import marked
from crawlmill.text.extractor.model import TooManyBlocks, from_arrays, model, read, select, to_arrays
from crawlmill.text.extractor.render import block_texts, plain
from crawlmill.text.extractor.tags import NAMES
from crawlmill.text.extractor.trees import Trees

URL = "https://www.example.org/d/page.html"


def analysed(html: str) -> Analysis:
    page = read(HTMLTree.parse(html).body.html, 10_000)
    assert page is not None
    return page


def everything(html: str) -> str:
    page = analysed(html)
    return plain(page, np.ones(page.blocks.n, bool))


def markdown(html: str, links: bool = False, signs: bool = True) -> str:
    page = analysed(html)
    return marked(page, np.ones(page.blocks.n, bool), URL, links, signs)


# Arrays


def test_names_end_at_a_blank_or_a_bracket() -> None:
    text = b"<p><div class=x><blockquote><h1 ><textarea>"
    at = np.array([i + 1 for i, c in enumerate(text) if c == ord("<")])
    found = names(eight(octets(text), at))
    assert found.tolist() == [code(name) for name in ("p", "div", "blockquote", "h1", "textarea")]


@given(st.lists(st.binary(min_size=1, max_size=8).filter(lambda b: b[-1] != 0), unique=True, max_size=60))
def test_lookup_finds_its_keys_and_nothing_else(keys: list[bytes]) -> None:
    lookup = Lookup({code(key): at for at, key in enumerate(keys)})
    if keys:
        assert lookup(np.array([code(key) for key in keys], np.uint64)).tolist() == list(range(len(keys)))
    others = [code(word) for word in (b"absent", b"zz", b"\xff\xff") if word not in keys]
    assert set(lookup(np.array(others, np.uint64)).tolist()) <= {-1}


def test_first_bytes() -> None:
    word = np.array([code("abcdefgh")] * 3, np.uint64)
    assert first_bytes(word, np.array([0, 3, 12])).tolist() == [0, code("abc"), code("abcdefgh")]


# Markup


def tree(page: bytes) -> markup.Markup:
    found = markup.read(raw.strip(page))
    assert found is not None
    return found


def test_elements_with_parents_and_depths() -> None:
    found = tree(b'<body><div id="a"><p>x<br>y</p><img src="i"></div><custom-thing></custom-thing></body>')
    kinds = [NAMES[kind] for kind in found.kind]
    assert kinds == ["body", "div", "?", "p"]
    assert found.depth.tolist() == [1, 2, 2, 3]
    assert [kinds[at] for at in found.parent] == ["body", "body", "body", "div"]
    inside = found.around(np.array([2]))
    assert kinds[int(inside[0])] == "p"


def test_brackets_in_attributes_and_tags_that_do_not_pair() -> None:
    found = tree(b'<body><p title="a > b < c">x</p><div></span><p>y</div></body>')
    assert sorted(NAMES[kind] for kind in found.kind) == ["body", "div", "p"]
    text = found.a.tobytes()
    assert text.startswith(b'<body><p title="a   b   c">x</p>') and b"</span>" not in text


def test_raw_text_and_comments_go() -> None:
    page = b"<body>a<script>if (1 < 2) { '<p>' }</script>b<!-- <p> -->c<style>p > a {}</style><iframe><p></iframe>d<!-- open"
    assert raw.strip(page) == b"<body>abcd"


@given(st.text(alphabet="<>/!-=\"' abdiprsv\n", max_size=200))
def test_any_markup_reads(text: str) -> None:
    found = markup.read(raw.strip(b"<body>" + text.encode() + b"</body>"))
    if found is not None:
        segmentation.blocks(found)


# Blocks


def test_blocks_are_what_stands_between_block_level_tags() -> None:
    html = "<div>one <b>two</b><p>three</p>four<br>five<br> <br>six<select><option>no</option></select>seven<span> </span></div>"
    assert block_texts(analysed(html)) == ["one two", "three", "four\nfive", "six", "seven"]


def test_counts_of_a_block() -> None:
    found = analysed('<p>Ab 12, <a href="x">cde</a>. 川川。</p>').blocks
    assert found.n == 1
    assert found.weight[0] == 2 + 2 + 1 + 3 + 1 + 6  # Han characters and their marks count twice
    assert (found.linked[0], found.digits[0], found.capitals[0], found.punctuation[0]) == (3, 2, 1, 3)
    assert found.sentence[0]


@pytest.mark.parametrize(
    "text",
    ["ภาษาไทย " * 30, "हिन्दी में लेख। " * 20, "مقال باللغة العربية، " * 20, "这是一篇文章。" * 20, "한국어 기사입니다. " * 20],
)
def test_prose_of_every_script_counts_as_prose(text: str) -> None:
    page = analysed(f"<p>{text}</p><ul><li><a href=x>Home</a></ul>")
    prose = page.x[features.NAMES.index("own: prose")]
    assert prose.tolist() == [1.0, 0.0]


def test_page_without_text_has_no_blocks() -> None:
    assert read("<body><div> <br> </div><img src=x></body>", 10) is None
    assert read("", 10) is None
    with pytest.raises(TooManyBlocks, match="11 blocks of text, the limit is 10"):
        read("<body>" + "<p>x</p>" * 11 + "</body>", 10)


# Features


def test_features_are_as_many_as_their_names_and_finite() -> None:
    page = analysed("<nav><a href=x>Home</a></nav><article class='post content'><h1>A</h1><p>Some text, here.</p></article>" * 5)
    assert page.x.shape == (len(features.NAMES), page.blocks.n)
    assert np.isfinite(page.x).all()
    second = context.context(page, np.linspace(0, 1, page.blocks.n))
    assert second.shape == (len(context.NAMES), page.blocks.n) and np.isfinite(second).all()
    assert len(set(features.NAMES)) == len(features.NAMES)


def feature(page: Analysis, name: str) -> list[float]:
    return page.x[features.NAMES.index(name)].tolist()


def test_what_is_above_a_block() -> None:
    page = analysed("<div class='userComments'><p>a</p></div><nav><p>b</p></nav><footer id=site-footer><p>c</p></footer>")
    assert feature(page, "above: words comment") == [1, 0, 0]
    assert feature(page, "above: nav/menu") == [0, 1, 0]
    assert feature(page, "above: footer") == [0, 0, 1]
    assert feature(page, "above: words side") == [0, 0, 1]


def test_what_short_blocks_and_headings_say() -> None:
    page = analysed("<h2>Related articles</h2><p>One</p><h3>Comments</h3><p>Two: share it</p>")
    assert feature(page, "own: says related") == [1, 0, 0, 0]
    assert feature(page, "heading: says related") == [1, 1, 0, 0]
    assert feature(page, "heading: says comment") == [0, 0, 1, 1]
    assert feature(page, "own: says share") == [0, 0, 0, 1]


def test_features_do_not_depend_on_what_came_before() -> None:
    html = "<div class=a><p>Text one.</p></div><div class=a><p>Text two.</p></div>"
    first = analysed(html).x
    analysed("<div class=b>" * 50 + "<p>other</p>")
    assert (analysed(html).x == first).all()


# Trees and choice


def test_trees_sum_their_leaves() -> None:
    made = Trees(np.array([[0, 1]]), np.array([[0.5, 2.0]], np.float32), np.array([[0.0, 1.0, 2.0, 3.0]], np.float32), -1.0)
    odds = [0.0, 1.0, 2.0, 3.0]
    x = np.array([[0, 1, 0, 1], [2, 2, 3, 3]], np.float32)
    assert made.probability(x).tolist() == pytest.approx([1 / (1 + np.exp(1 - value)) for value in odds])


def test_best_threshold_against_trying_all() -> None:
    random = np.random.default_rng(5)
    for _ in range(20):
        probability, weight = random.random(12), random.random(12) * 50
        expected = [
            2 * (weight * probability)[probability >= t].sum() / (weight[probability >= t].sum() + (weight * probability).sum())
            for t in probability
        ]
        threshold, best = best_threshold(probability, weight)
        assert best == pytest.approx(max(expected), abs=1e-9) and threshold == pytest.approx(
            probability[int(np.argmax(expected))]
        )


def test_one_block_is_always_kept() -> None:
    keep, expected = choose(np.array([0.1, 0.2]), np.array([5.0, 5.0]), 1.0)
    assert keep.tolist() == [False, True] and 0 < expected < 1


def test_only_a_page_that_the_first_pass_is_not_sure_of_gets_a_second() -> None:
    weight = np.array([900.0, 5.0])
    assert sure(np.array([0.99, 0.01]), weight) and not sure(np.array([0.6, 0.4]), weight)
    long, menu = (
        "<p>" + "A sentence of prose, as articles have it, goes on for a while. " * 9 + "</p>",
        "<li><a href=x>Home</a></li>",
    )
    for html in (
        f"<main><article><h1>A title</h1>{long * 4}</article></main>",
        f"<ul>{menu * 9}</ul>{long[:90]}</p><ul>{menu * 9}</ul>",
    ):
        page = analysed(html)
        first = model().first.probability(page.x)
        is_sure = best_threshold(first, page.blocks.weight)[1] >= SURE
        assert (model().probabilities(page) == first).all() == is_sure


def test_a_text_is_kept_once_except_right_after_itself() -> None:
    texts = ["a long text", "b", "a long text", "a long text", "short", "short", "like a long text", "b"]
    weight = np.array([50.0 if " " in text else 10.0 for text in texts])
    likeness = np.array([1, 2, 1, 1, 3, 3, 1, 2])
    keep = without_repeats(np.ones(8, bool), weight, likeness, texts.__getitem__)
    assert keep.tolist() == [True, True, False, True, True, True, True, True]


def test_model_survives_its_file() -> None:
    again = from_arrays(to_arrays(model()))
    page = analysed("<h1>A</h1><p>Some text, here it is.</p><p>More of it.</p>")
    assert (again.probabilities(page) == model().probabilities(page)).all()


# Text


def test_lines_of_headings_paragraphs_lists_and_breaks() -> None:
    html = "<h1>Title &amp; more</h1><p>One <b>bold</b>\n word<br>two</p><ul><li>a<li>b<ul><li>c</ul></ul><dl><dt>t<dd>d</dl>"
    assert everything(html).split("\n") == ["Title & more", "One bold word", "two", "a", "b", "c", "t", "d"]


def test_table_rows_are_lines_and_cells_keep_their_columns() -> None:
    table = "<table><tr><th>A<th>B<th>C<tr><td>1<td><td><p>3</p><tr><td>x<br>y<td>z<td>w</table>"
    assert everything(table) == "A\tB\tC\n1\t\t3\nx y\tz\tw"
    layout = "<table><tr><td><p>One.</p><p>Two.</p><td>Side</table>"
    assert everything(layout) == "One.\nTwo.\nSide"


def test_blanks_that_do_not_break_are_blanks() -> None:
    assert everything("<p>a&nbsp;b&nbsp;&nbsp;</p><p>&nbsp;</p><pre>&nbsp;&nbsp;c</pre>") == "a b\n  c"


def test_code_keeps_its_lines_and_blanks() -> None:
    assert everything("<p>See:<pre>\n\ndef f():\n    return  1 &lt; 2\n\n\n# end  \n</pre><p>ok") == (
        "See:\ndef f():\n    return  1 < 2\n\n\n# end\nok"
    )


@pytest.mark.parametrize(
    ("html", "text"),
    [
        (
            '<math><semantics><mi>E</mi><annotation encoding="application/x-tex">E=mc^2</annotation></semantics></math>',
            "$E=mc^2$",
        ),
        ('<math display="block" alttext="a&lt;b"><mi>a</mi></math>', "$$a<b$$"),
        ("<math><mi>x</mi><mo>+</mo><mn>1</mn></math>", "x+1"),
        ('<span class="MathJax_Preview">x</span><script type="math/tex">x < y</script>', "$x < y$"),
        ('<script type="math/tex; mode=display">\\frac{a}{b}</script>', "$$\\frac{a}{b}$$"),
        (
            '<math alttext="{\\displaystyle y}"><semantics><mi>y</mi><annotation encoding="application/x-tex">{\\displaystyle y}</annotation>'
            "</semantics></math>",
            "$y$",
        ),
        (
            '<span class="katex"><span class="katex-mathml"><math><semantics><mi>z</mi><annotation encoding="application/x-tex">z^2</annotation>'
            '</semantics></math></span><span class="katex-html" aria-hidden="true"><span>z<span>2</span></span></span></span>!',
            "$z^2$!",
        ),
        ("inline $a_1$ and \\(b\\)", "inline $a_1$ and \\(b\\)"),
    ],
)
def test_mathematics_survives_once(html: str, text: str) -> None:
    assert everything(f"<p>Let {html} be.</p>") == f"Let {text} be."


def test_markdown_signs() -> None:
    html = (
        "<h2>Head</h2><p>One <code>x = 1</code></p><ul><li>a<li>b<ol><li>c<li>d</ol></ul><blockquote><p>q</p></blockquote>"
        "<table><tr><th>A<th>B<tr><td>1|2<td>3</table><pre>code\n  here</pre>"
    )
    assert markdown(html) == (
        "## Head\n\nOne `x = 1`\n\n- a\n- b\n  1. c\n  2. d\n\n> q\n\n| A | B |\n| --- | --- |\n| 1\\|2 | 3 |\n\n```\ncode\n  here\n```"
    )


def test_links_in_the_text() -> None:
    html = '<p>See <a href="/x?a=1&amp;b=2"><b>this</b></a>, <a href="#n">note</a> and <a href="javascript:f()">that</a>.</p><a href="y"><h2>Head</h2></a>'
    assert markdown(html, links=True, signs=False) == (
        "See [this](https://www.example.org/x?a=1&b=2), note and that.\n[Head](https://www.example.org/d/y)"
    )


LETTERS = re.compile(r"\w")
PIECES = st.sampled_from(
    re.findall(
        r"\S+",
        "<p> </p> <div> </div> <nav> </nav> <ul><li> </ul> <table><tr><td> </table> <pre> </pre> <b> </b> <br> <h2> <math> </math> <select> <svg>",
    )
) | st.text(max_size=12)


@settings(max_examples=150)
@given(st.lists(PIECES, max_size=30))
def test_text_comes_from_the_page(pieces: list[str]) -> None:
    html = "".join(pieces).encode("utf-8", "replace").decode()
    body = HTMLTree.parse(html).body
    page = read(body.html, 10_000) if body is not None else None
    if page is None:
        return
    text = everything(html)
    assert set(LETTERS.findall(text)) <= set(LETTERS.findall(body.text)) | set(LETTERS.findall(html))
    assert text == everything(html)
    found = select(page)
    assert found.keep.shape == (page.blocks.n,) and 0 <= found.confidence <= 1
    assert set(LETTERS.findall(plain(page, found.keep))) <= set(LETTERS.findall(text))
    for links in (False, True):
        marked(page, found.keep, URL, links, True).encode("utf-8")


# The compiled inner loops

compiled = pytest.mark.skipif(native is None, reason="set-up found no C compiler: numpy does everything")


@contextmanager
def without_compiler() -> Iterator[None]:
    users = (trees, raw, markup, segmentation, words, lexicon)
    try:
        for module in users:
            module.native = None
        yield
    finally:
        for module in users:
            module.native = native


def everything_of(body: str) -> tuple[list[bytes], str, float] | None:
    """What the extractor knows of a page and says of it, to the bit."""
    page = read(body, 10_000)
    if page is None:
        return None
    arrays = [getattr(part, field.name) for part in (page.markup, page.blocks) for field in fields(part)]
    found = select(page)
    return [np.asarray(array).tobytes() for array in (*arrays, page.x)], plain(page, found.keep), found.confidence


@compiled
@settings(max_examples=150)
@given(
    st.lists(
        PIECES
        | st.sampled_from(
            [
                '<div class="postBody NAV-bar_x" id=footer>',
                "<!-- <p> -->",
                "<script>a < b</script>",
                "<style>",
                "\u00a0",
                "&lt;",
                "\u060c",
                "\u3002",
                "\u0964",
                "Read more Share Подробнее 相关阅读",
                '<math alttext="x"><mi>x</mi></math>',
                '<i title="a > b">',
                "</p>",
                "ＡＢ！",
                "x" * 300,
            ]  # fmt: skip
        ),
        max_size=40,
    )
)
def test_compiled_loops_give_the_same_bits(pieces: list[str]) -> None:
    body = HTMLTree.parse("".join(pieces).encode("utf-8", "replace").decode()).body
    if body is not None:
        with without_compiler():
            due = everything_of(body.html)
        assert everything_of(body.html) == due


@compiled
@given(st.text(alphabet="<>/!-=\"' abdiprsv&;\n،川", max_size=200))
def test_compiled_loops_read_any_bytes_alike(text: str) -> None:
    page = b"<body>" + text.encode() + b"</body>"
    found, due = markup.read(raw.strip(page)), markup.read_in_numpy(raw.strip(page))
    assert raw.openings(page) == raw.openings_in_numpy(page)
    assert complexity.brackets(page, 9) == complexity.brackets_in_numpy(page, 9)
    assert complexity.brackets(page[7:], 2) == complexity.brackets_in_numpy(page[7:], 2)
    assert (found is None) == (due is None)
    for field in fields(markup.Markup) if found is not None else ():
        assert np.array_equal(getattr(found, field.name), getattr(due, field.name)), field.name


@compiled
def test_compiled_loops_on_real_pages(shared: Path) -> None:
    for name in ("zh-wce", "newspaper4k"):
        with (shared / "data" / "extraction" / f"{name}.warc.gz").open("rb") as stream:
            for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
                body = HTMLTree.parse(charset.decode(record.reader.read(), record.http_charset)[0]).body
                with without_compiler():
                    due = everything_of(body.html)
                assert everything_of(body.html) == due


@compiled
@pytest.mark.parametrize("columns", [2, 3, 31, 511, 512, 513, 1700])
def test_compiled_trees_give_the_same_bits(columns: int) -> None:
    random = np.random.default_rng(columns)
    x = random.normal(size=(30, columns)).astype(np.float32)
    x[random.random(x.shape) < 0.1] = 0.5
    x[0, :2] = np.nan, np.inf
    border = random.choice(np.array([-0.3, 0.0, 0.5, np.inf], np.float32), (40, 6))
    made = Trees(random.integers(0, 30, (40, 6)), border, random.normal(size=(40, 64)).astype(np.float32), -0.7)
    assert (made.odds_compiled(x) == made.odds(x)).all()
    assert (made.odds_compiled(x[:, 1:]) == made.odds(x[:, 1:])).all() or columns == 2
    for trained in (model().first, model().second):
        x = random.gamma(0.5, 3, (1 + int(trained.feature.max()), columns)).astype(np.float32)
        assert (trained.odds_compiled(x) == trained.odds(x)).all()


@compiled
def test_compiled_trees_refuse_arrays_that_do_not_fit() -> None:
    made = Trees(np.array([[0, 3]]), np.zeros((1, 2), np.float32), np.zeros((1, 4), np.float32), 0.0)
    with pytest.raises(ValueError, match="do not fit"):
        made.odds_compiled(np.zeros((3, 5), np.float32))


@compiled
def test_compiled_loops_refuse_arrays_that_do_not_fit() -> None:
    a, short = octets(b"<p>text</p>"), np.zeros(1, np.int64)
    table = Lookup({code("p"): 0})
    with pytest.raises(ValueError, match="do not fit"):
        native.counts(a, short, short, np.zeros(255, np.int64), np.zeros(256, np.int64), np.zeros(3, np.int64), 21)
    with pytest.raises(ValueError, match="do not fit"):
        native.counts(a, short, short + 999, *np.zeros((2, 256), np.int64), np.zeros(3, np.int64), 21)
    with pytest.raises(ValueError, match="do not fit"):
        native.attributes(a, short + 7, short, short + 3, *table.table, np.zeros((1, 2), np.int64), short.copy(), *table.slots, 1)
    with pytest.raises(TypeError, match="arguments"):
        native.markup(a)
