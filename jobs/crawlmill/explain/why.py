"""The path of a page through the lake: every capture of a URL, or one document, from the crawl file to the corpus. No Spark, plain values.

What a page says is data: texts are masked and cut (`excerpts.mask`), and whoever shows them escapes them (`why_cli` for terminals).
"""

from __future__ import annotations

from typing import Any

from crawlmill.contracts import contract
from crawlmill.explain import excerpts, shared_text
from crawlmill.lake import ledger, pins
from crawlmill.recipes.defined_at import Rulebook
from crawlmill.releases import release
from crawlmill.rows import page_index
from crawlmill.rows.lookup import Reader, newest, part
from crawlmill.rows.page_index import Place
from crawlmill.takedowns import orders

NEAR = 5  # addresses of the same host that are offered for an unknown one
VERSIONS = 20  # of the corpus that are looked at, newest first
STEP = (
    "hook",
    "version",
    "position",
    "outcome",
    "reason",
    "edits",
    "model",
    "requests",
    "prompt_tokens",
    "completion_tokens",
    "cost",
)
KINDS = {"survivor": "kept", "exact": "exact duplicate", "near": "near duplicate"}
CAPTURED = (
    "url", "date", "file_path", "offset", "length", "mime", "charset", "charset_source", "title", "html_lang", "published",
    "truncated", "digest", "extraction_confidence", "parent_id",
)  # fmt: skip


def explain(lake: str, name: str, book: Rulebook) -> dict[str, Any]:
    """Everything that the lake knows about a URL or an id.

    Args:
        lake: folder of the tables.
        name: a URL as captured, or a document's id, with or without `<urn:uuid:…>`.
        book: the recipe to name the places of rules from; verdicts of another one are told without places.

    Returns:
        Plain values: `asked`; `captures`, oldest first, see `_capture`; `also`, other captures of the URL where an id was asked for; `near`,
        similar addresses of the host where there is no capture; `scanned`, snapshots without an index, whose columns of URLs and ids were
        read whole; `files`, every data file that was opened; `taken_down`, the takedown order that names the page.
    """
    reader, at = Reader(lake), pins.every_newest(lake)
    indexed = {snapshot: own[page_index.TABLE] for snapshot, own in at.items() if page_index.TABLE in own}
    places = page_index.find(reader, indexed, name)
    scanned = [snapshot for snapshot in at if snapshot not in indexed]
    known: list[str] = []
    for snapshot in scanned:
        found, urls = _scan(reader, at[snapshot], snapshot, name)
        places, known = places + found, known + urls
    state = _State(reader, indexed, book)
    captures = [_capture(state, place, at[place.snapshot]) for place in sorted(places, key=lambda one: (one.snapshot, one.shard))]
    near = []
    if not places and page_index.as_id(name) is None:
        near = page_index.beside(reader, indexed, name, NEAR) or page_index.alike(name, list(dict.fromkeys(known)), NEAR)
    also = _also(state, captures) if page_index.as_id(name) else []
    files = list(dict.fromkeys(reader.files))
    order = orders.ready(lake).find(name if "://" in name else None, page_index.as_id(name))
    told = {"asked": name, "captures": captures, "also": also, "near": near, "scanned": scanned, "files": files}
    return {**told, "taken_down": order}


def _also(state: _State, captures: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The other captures of a document's URL."""
    known = {(one["snapshot"], one["id"]) for one in captures}
    urls = {url for one in captures if (url := one.get("url"))}
    found = [place for url in sorted(urls) for place in page_index.find(state.reader, state.indexed, url)]
    others = [place for place in found if (place.snapshot, place.id) not in known]
    return [{"snapshot": one.snapshot, "id": one.id, "outcome": one.outcome} for one in others]


class _State:
    """What all captures of one question share."""

    def __init__(self, reader: Reader, indexed: dict[str, int], book: Rulebook):
        self.reader, self.indexed, self.book = reader, indexed, book
        runs = [run for run in ledger.runs(reader.lake, snapshot=pins.EVERY) if run.verdict in ledger.RELEASED]
        self.published = [run for run in reversed(runs) if run.stage == "publish"]
        self.settled = next((run for run in reversed(runs) if run.stage == "dedup"), None)
        self.releases = {name: release.manifest(reader.lake, name) or {} for name in release.names(reader.lake)}


def _scan(reader: Reader, at: dict[str, int], snapshot: str, name: str) -> tuple[list[Place], list[str]]:
    """A snapshot without an index: its columns of URLs and ids read whole, and the URLs of the asked host."""
    import pyarrow.dataset as ds

    identity, found, urls = page_index.as_id(name), [], []
    for table in ("documents", "rejects"):
        key = ds.field("id") == identity if identity else ds.field("url") == name
        for row in reader.rows(table, at[table], part(snapshot) & key, ["shard", "id", "url"]):
            found.append(Place(snapshot, row["shard"], row["id"], row["url"], "rejected" if table == "rejects" else "document"))
    if not found and not identity and (host := page_index.host(name if "://" in name else f"https://{name}")):
        own = ds.field("host") == ".".join(reversed(host.split(".")))
        urls = [row["url"] for row in reader.rows("documents", at["documents"], part(snapshot) & own, ["url"])]
    return found, urls


def _capture(state: _State, place: Place, at: dict[str, int]) -> dict[str, Any]:
    """One capture: where it was captured and, of each stage that has passed, what it said. A record that is no document has `reject`."""
    found: dict[str, Any] = {"snapshot": place.snapshot, "shard": place.shard, "id": place.id, "versions": at}
    if place.outcome == "rejected":
        return found | {"verdict": "rejected", "reject": _reject(state.reader, place, at)}
    rows = state.reader.by_id("documents", at["documents"], place.snapshot, place.shard, [str(place.id)])
    if not rows:
        return found | {"verdict": "missing"}
    row = rows[0]
    found |= {name: row.get(name) for name in CAPTURED}
    found["charset_source_means"] = _means("documents", "charset_source", row["charset_source"])
    changed = _row(state.reader, "rewrites", place, at)
    text = changed["text"] if changed else row["text"]
    found |= {"chars": len(text), "excerpt": excerpts.mask(text)}
    found["language"] = _row(state.reader, "languages", place, at, drop=("snapshot", "shard", "id"))
    found["hooks"] = _hooks(state.reader, "rewrite_steps", place, at)
    found["recycled"] = _hooks(state.reader, "recycled", place, at, ("bucket", "derived"))
    found["diff"] = excerpts.diff(row["text"], text) if changed else None
    judged = _row(state.reader, "verdicts", place, at)
    found["gate"] = _gate(state.book, judged) if judged else None
    found["cluster"] = _cluster(state, place, text) if judged and judged["eligible"] else None
    found["corpus"] = _corpus(state, place)
    found["releases"] = _releases(state, place)
    return found | {"verdict": _verdict(found)}


def _row(reader: Reader, table: str, place: Place, at: dict[str, int], drop: tuple[str, ...] = ()) -> dict[str, Any] | None:
    """A document's row of a table at its version; None where the stage has not passed, or has nothing to say of it."""
    if table not in at:
        return None
    rows = reader.by_id(table, at[table], place.snapshot, place.shard, [str(place.id)])
    return {name: value for name, value in rows[0].items() if name not in drop} if rows else None


def _reject(reader: Reader, place: Place, at: dict[str, int]) -> dict[str, Any]:
    """Why a record is no document, with the contract's words for the reason."""
    import pyarrow.dataset as ds

    key = ds.field("url") == place.url if place.url is not None else ds.field("id") == place.id
    rows = reader.rows("rejects", at["rejects"], part(place.snapshot, place.shard) & key)
    own = [row for row in rows if row["id"] == place.id] or rows
    if not own:
        return {}
    row = {name: value for name, value in own[0].items() if name not in ("snapshot", "shard", "id")}
    return row | {"means": _means("rejects", "reason", row["reason"])}


def _means(table: str, column: str, value: str | None) -> str:
    """What the contract says that a value means."""
    enum = next(found.enum for found in contract.load(table).fields if found.name == column)
    return enum.get(value or "", "")


def _hooks(reader: Reader, table: str, place: Place, at: dict[str, int], more: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """What hooks did with the document, in their order: those before dedup, or those of recycling."""
    if table not in at:
        return []
    rows = reader.by_id(table, at[table], place.snapshot, place.shard, [str(place.id)], [*STEP, *more])
    return sorted(rows, key=lambda row: (row["position"], row["hook"]))


def _gate(book: Rulebook, judged: dict[str, Any]) -> dict[str, Any]:
    """The verdict, each broken rule with the place of its limit where the recipe at hand is the one that judged."""
    same = judged["recipe_key"] == book.key
    language, script = judged["language"], judged.get("language_script") or ""

    def told(broken: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
        place = (lambda rule: book.place(rule, language, script)) if same else (lambda _: None)
        return [{**rule, "defined": place(rule["rule"])} for rule in broken or []]

    return {
        "eligible": judged["eligible"], "failed": told(judged["failed"]), "flagged": told(judged.get("flagged")),
        "recipe_key": judged["recipe_key"], "same_recipe": same,
    }  # fmt: skip


def _cluster(state: _State, place: Place, text: str) -> dict[str, Any] | None:
    """The document's part in its cluster, and what it shares with the one that stays; None where dedup has not seen it."""
    if state.settled is None:
        return None
    at = state.settled.output("clusters")
    columns = ["content", "survivor", "survivor_id", "kind", "similarity"]
    rows = state.reader.by_id("clusters", at, place.snapshot, place.shard, [str(place.id)], columns)
    if not rows:
        return None
    found = rows[0] | {"version": at}
    return found if found["kind"] == "survivor" else found | {"stays": _stays(state, found["survivor_id"], text)}


def _stays(state: _State, identity: str, text: str) -> dict[str, Any] | None:
    """The document that stays in the place of another: where it is, and the text that both have."""
    assert state.settled is not None
    pinned = pins.of(state.settled)
    place = next((one for one in page_index.find(state.reader, state.indexed, identity) if one.outcome != "rejected"), None)
    if place is None:
        place = _by_cluster(state, identity)
    if place is None or ("documents", place.snapshot) not in pinned:
        return None
    at = {table: version for (table, snapshot), version in pinned.items() if snapshot == place.snapshot}
    row, changed = _row(state.reader, "documents", place, at), _row(state.reader, "rewrites", place, at)
    if row is None:
        return None
    other = changed["text"] if changed else row["text"]
    where = {name: row[name] for name in ("url", "date")}
    return {"snapshot": place.snapshot, "shard": place.shard, **where, "shared": shared_text.shared(text, other)}


def _by_cluster(state: _State, identity: str) -> Place | None:
    """A document by its row in `clusters`: for snapshots that have no index."""
    import pyarrow.dataset as ds

    assert state.settled is not None
    rows = state.reader.rows("clusters", state.settled.output("clusters"), ds.field("id") == identity, ["snapshot", "shard"])
    return Place(rows[0]["snapshot"], rows[0]["shard"], identity, None, "eligible") if rows else None


def _corpus(state: _State, place: Place) -> dict[str, Any] | None:
    """Whether the newest corpus has the document, and since which version without a break; None where nothing is published."""
    if not state.published:
        return None
    versions = list(dict.fromkeys(run.output("corpus") for run in state.published))[:VERSIONS]
    since = None
    for version in versions:
        if not _in_version(state.reader, version, place):
            break
        since = version
    holding = since is not None
    return {"in": holding, "version": versions[0], "since": since, "snapshot": place.snapshot, "shard": place.shard}


def _releases(state: _State, place: Place) -> list[dict[str, Any]]:
    """Every finished release that has the document, oldest first: name, when it was made, copies that the document stands for, its weight."""
    columns, found = ["id", "minhash_cluster_size", "rehydration_weight"], []
    for name, made in state.releases.items():
        if place.snapshot not in made["snapshots"]:
            continue
        table = f"releases/{name}/corpus"
        rows = state.reader.by_id(table, newest(state.reader.lake, table), place.snapshot, place.shard, [str(place.id)], columns)
        for row in rows:
            found.append({
                "name": name, "created_at": made["created_at"], "stands_for": row["minhash_cluster_size"], "weight": row["rehydration_weight"],
            })  # fmt: skip
    return sorted(found, key=lambda one: (one["created_at"], one["name"]))


def _in_version(reader: Reader, version: int, place: Place) -> bool:
    return bool(reader.by_id("corpus", version, place.snapshot, place.shard, [str(place.id)], ["id"]))


def _verdict(found: dict[str, Any]) -> str:
    """One or two words: kept, failed rules, exact or near duplicate, or how far it has come."""
    if found["gate"] is None:
        return "not judged yet"
    if not found["gate"]["eligible"]:
        return "failed rules"
    if found["cluster"] is None:
        return "eligible, dedup to come"
    if found["cluster"]["kind"] == "survivor" and not (found["corpus"] or {}).get("in"):
        return "to be published"
    return KINDS[found["cluster"]["kind"]]
