"""Nothing asks for an address that a page names: a server on loopback that nobody may ask, and a file that no entity may bring in."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from crawlmill.recipes import recipe
from crawlmill.recipes.recipe_extract import Extract
from crawlmill.sources import fetch
from crawlmill.sources.batches import Reading
from crawlmill.sources.patience import Patience
from crawlmill.text import language, minhash, signals
from crawlmill.text.hooks import Document, chosen, run_hooks
from tests.fixtures import warcs
from tests.fixtures.answers import Server, answering, reply
from tests.unit.test_batches import SCHEMA

SECRET = "a-word-in-a-file-of-this-machine"
RECIPE = recipe.load()
# Every way that we know of in which markup names something to be fetched or read. A is an address below the server, F a file.
HEADS = [
    '<!DOCTYPE html [<!ENTITY file SYSTEM "F"><!ENTITY web SYSTEM "A/entity">]>', '<!DOCTYPE html SYSTEM "A/page.dtd">',
    '<?xml version="1.0"?><?xml-stylesheet href="A/style.xsl" type="text/xsl"?>', "",
]  # fmt: skip
PARTS = [
    '<base href="A/base/">',
    '<meta http-equiv="refresh" content="0;url=A/refresh">',
    '<link rel="stylesheet" href="A/style.css">',
    '<link rel="canonical" href="A/canonical"><link rel="amphtml" href="A/amp"><link rel="manifest" href="A/manifest">',
    '<script src="A/script.js"></script>',
    '<style>@import url(A/import.css); p { background: url("A/background.png") }</style>',
    '<img src="A/image" srcset="A/one 1x, A/two 2x" longdesc="A/long">',
    '<iframe src="A/frame" srcdoc="&lt;img src=A/inner&gt;"></iframe><iframe src="F"></iframe>',
    '<object data="A/object"><param value="A/param"></object><embed src="A/embed">',
    '<video src="A/video" poster="A/poster"><track src="A/track"></video><audio src="A/audio"></audio>',
    '<svg><image href="A/svg"/><use xlink:href="A/use#x"/></svg>',
    '<form action="A/form"><input type="image" src="A/input"></form>',
    '<a href="A/link" ping="A/ping">a link</a>',
    '<applet code="A/applet"></applet>',
    '<x xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="F" parse="text"/><xi:include href="A/include"/></x>',
    "<p>&file; &web; A/plain</p>",
    '<script type="application/ld+json">{"@context": "A/context", "@id": "A/id", "url": "A/url"}</script>',
    '<p itemscope itemtype="A/type" itemid="A/item">x</p>',
]


def crawl(address: str, file: Path) -> bytes:
    """A crawl file of pages that name the server and the file, as targets of their records and in redirects, too."""
    records = []
    for number, head in enumerate(HEADS):
        for mime in ("text/html", "application/xhtml+xml"):
            prose = f"<p>{warcs.PROSE.decode()}</p>"
            page = f"{head}<html><head><title>A page</title></head><body><main>{prose}{prose.join(PARTS)}{prose}</main></body></html>"
            body = page.replace('"A/', f'"{address}').replace("A/", address).replace('"F"', f'"{file.as_uri()}"').encode()
            response = warcs.http(
                body, mime=mime, Link=f"<{address}header>; rel=preload", Refresh=f"0; url={address}refresh-header"
            )
            records.append(
                warcs.record(
                    "response", 2 * number + (mime == "text/html"), response, WARC_Target_URI=f"{address}target/{number}"
                )
            )
    moved = warcs.http(b"moved", "301 Moved Permanently", Location=f"{address}moved")
    return b"".join(gzip.compress(one, mtime=0) for one in [*records, warcs.record("response", 99, moved)])


@pytest.mark.parametrize("backend", ["crawlmill", "resiliparse", "trafilatura"])
def test_nobody_asks_for_what_a_page_names(backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRAWLMILL_PACE", str(tmp_path / "pace"))
    secret = tmp_path / "secret.txt"
    secret.write_text(SECRET)
    with answering() as source, answering() as named:
        named.answers["/f"] = [reply(200, b"an answer")]
        texts = extracted(source, crawl(named.base, secret), backend)
        assert len(texts) == 2 * len(HEADS), "each page became a document"
        found, hooks = language.identifier(RECIPE.identify).identify(texts), chosen(RECIPE.rewrite.hooks)
        for text in texts:
            final, _ = run_hooks(Document(text), hooks)
            signals.measure(final or text, "eng")
            assert SECRET not in text and SECRET not in (final or "")
        minhash.sketches(texts, RECIPE.sketch)
        assert len(found) == len(texts) and named.asked == [] and {path for path, _ in source.asked} == {"/f"}
        fetch.read_bytes(named.base, "f", Patience(attempts=1), most=1 << 20)
        assert named.asked, "it would have seen it"


def extracted(source: Server, data: bytes, backend: str) -> list[str]:
    """The texts of a crawl file that the source gives."""
    source.answers["/f"] = [reply(200, data)]
    options: Extract = RECIPE.extract.model_copy(update={"backend": backend, "outlinks": True})
    batches = Reading(source.base, options, SCHEMA, None).batches("f", 0)
    made: list[dict[str, Any]] = [row for batch in batches for row in batch.to_pylist()]
    return [row["document"]["text"] for row in made if row["document"]]
