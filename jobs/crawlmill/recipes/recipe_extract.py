"""The recipe's section `extract`: which crawl files and pages are read, how text is taken out of them, and within which limits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from crawlmill.limits import Limits as ReadLimits
from crawlmill.recipes.recipe_section import Section
from crawlmill.text.options import Backend, Options

_READ = ReadLimits()


class Limits(Section):
    """What bounds the work on one record: counts, never seconds, so the outcome is the same on any machine.

    The fields and defaults of `crawlmill.limits.Limits`, which says what each means.
    """

    max_header_bytes: int = Field(default=_READ.max_header_bytes, ge=1)
    max_record_bytes: int = Field(default=_READ.max_record_bytes, ge=1)
    max_payload_bytes: int = Field(default=_READ.max_payload_bytes, ge=1)
    max_member_ratio: int = Field(default=_READ.max_member_ratio, ge=1)
    max_member_free: int = Field(default=_READ.max_member_free, ge=1)
    max_tags: int = Field(default=_READ.max_tags, ge=1)
    max_depth: int = Field(default=_READ.max_depth, ge=1)
    max_nesting_work: int = Field(default=_READ.max_nesting_work, ge=1)
    max_attributes: int = Field(default=_READ.max_attributes, ge=1)
    max_options: int = Field(default=_READ.max_options, ge=1)
    max_blocks: int = Field(default=_READ.max_blocks, ge=1)


class UrlPatterns(Section):
    """Regular expressions searched in the URL: one of `include` (where there are any) and none of `exclude`."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


class ListFile(Section):
    """A list of domains, URLs, prefixes or words, beside the recipe. What it holds decides, not where it lies: the hash is filled in on loading."""

    kind: Literal["domains", "urls", "prefixes", "words"]
    path: str = Field(exclude=True)
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$", description="refuse another file than this one")


class Select(Section):
    """Which crawl files and pages are read. Every page that is left out is a row of `rejects`."""

    seed: int = Field(default=0, description="another seed takes another sample of `files`")
    segments: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="crawl files of these segments only (`1760000000000.12`); null: all"
    )
    urls: UrlPatterns = UrlPatterns()
    mime_exclude: tuple[str, ...] = Field(default=(), description="media types left out of `mime`, `*` for any characters")
    languages: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="pages in one of these by the crawl's own detection (ISO 639-3), and those that it says nothing about; null: all",
    )
    opt_out: tuple[ListFile, ...] = ()
    blocklist: tuple[ListFile, ...] = ()

    def list_hashes(self) -> dict[str, str]:
        """sha256 of every list by purpose, kind and file name, as each commit of extract names them."""
        named = (("opt_out", self.opt_out), ("blocklist", self.blocklist))
        return {f"{purpose} {entry.kind} {Path(entry.path).name}": entry.sha256 for purpose, found in named for entry in found}


class Extract(Section):
    """Crawl files into documents."""

    backend: Backend = Field(
        default="crawlmill", description="who finds the main text: crawlmill (learned), resiliparse or trafilatura"
    )
    links: bool = Field(default=False, description="links in the text as [text](address)")
    markdown: bool = Field(default=False, description="Markdown instead of plain text")
    cascade_below: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="confidence of the crawlmill backend below which cascade_to is asked instead; 0: never",
    )
    cascade_to: Literal["resiliparse", "trafilatura"] = "trafilatura"
    kind: Literal["warc", "wet"] = "warc"
    files: int | None = Field(default=None, ge=1, description="take this many crawl files of a snapshot's listing; null: all")
    shards: Literal["auto"] | Annotated[int, Field(ge=1, le=900)] = "auto"
    mime: tuple[str, ...] = Field(
        default=_READ.mimes, min_length=1, description="media types that are read, `*` for any characters"
    )
    select: Select = Select()
    outlinks: bool = Field(default=False, description="also write every document's links to table `links`")
    guard_seconds: float | None = Field(
        default=5.0,
        gt=0,
        le=3600,
        description="seconds that a page may take before it is put on the quarantine list; null: no limit",
    )
    limits: Limits = Limits()

    def text_options(self) -> Options:
        """How text is extracted, as the text functions take it."""
        return Options(self.backend, self.links, self.markdown, self.cascade_below, self.cascade_to, self.outlinks)

    def read_limits(self) -> ReadLimits:
        """The limits as the readers of crawl files take them."""
        return ReadLimits(**self.limits.model_dump(), mimes=self.mime, mimes_excluded=self.select.mime_exclude)
