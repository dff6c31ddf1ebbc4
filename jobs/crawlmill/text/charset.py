"""Bytes of a page to text: byte order mark, HTTP header, the page's own declaration, UTF-8 validity, statistics, in this order.

Labels are read as the WHATWG Encoding Standard reads them and decoded by the widest codec of the family (a page that calls itself
`gb2312` uses all of GB 18030), never strictly: read strictly, one bad byte of a declared charset makes a page of mojibake.
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache

from charset_normalizer import from_bytes
from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16le"), (codecs.BOM_UTF16_BE, "utf-16be"))
PRESCAN = 64 * 1024  # bytes searched for a declaration: browsers look as far as <head> goes, long inline styles included
SAMPLE = 32 * 1024  # bytes of text shown to the detector
REFUTED = 0.1  # share of U+FFFD among the non-ASCII characters above which a declared UTF-8 is not believed

# resiliparse's name of a WHATWG encoding -> (WHATWG name, widest Python codec); those not here are their own codec
WIDEST = {
    "cp1252": ("windows-1252", "cp1252"),
    "cp1254": ("windows-1254", "cp1254"),
    "shift_jis": ("shift_jis", "cp932"),
    "euc_jp": ("euc-jp", "euc_jis_2004"),
    "iso2022_jp": ("iso-2022-jp", "iso2022_jp_ext"),
    "euc_kr": ("euc-kr", "cp949"),
    "big5": ("big5", "big5hkscs"),
    "gbk": ("gbk", "gb18030"),
    "iso8859-11": ("windows-874", "cp874"),
    "mac-roman": ("macintosh", "mac_roman"),
    "utf-16-le": ("utf-16le", "utf-16-le"),
    "utf-16-be": ("utf-16be", "utf-16-be"),
    "cp866": ("ibm866", "cp866"),
}
# Labels that the standard maps to nothing readable, though Python can read them
FURTHER = {
    "x-mac-cyrillic": ("x-mac-cyrillic", "mac_cyrillic"),
    "x-mac-ukrainian": ("x-mac-cyrillic", "mac_cyrillic"),
    "x-user-defined": ("windows-1252", "cp1252"),
    "hz-gb-2312": ("hz-gb-2312", "hz"),
    "iso-2022-kr": ("iso-2022-kr", "iso2022_kr"),
    "johab": ("johab", "johab"),
}
UTF8 = ("utf-8", "utf-8")

_COMMENT = re.compile(rb"<!--.*?-->", re.S)
_META = re.compile(rb"""<meta[\s/][^>]*?\bcharset\s*=\s*["']?\s*([^\s"'/>;]+)""", re.I)
_XML = re.compile(rb"""\A\s*<\?xml[^>]*?\bencoding\s*=\s*["']([^"'>]+)["']""", re.I)
_MARKUP = re.compile(rb"<(script|style)\b.*?</\1\s*>|<[^>]*>|[ \t\r\n]+", re.I | re.S)
_ESCAPES = re.compile(rb"\x1b(?:\$[@B]|\(J|\$\)C)")  # ISO 2022: seven-bit, so it would pass for UTF-8
_ASCII = bytes(range(128))
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")


def decode(payload: bytes, http_charset: str | None = None) -> tuple[str, str, str]:
    """The text of a page, the charset by its WHATWG name, and what the choice rests on: bom, http, meta, utf8 or detector.

    Never raises; undecodable bytes become U+FFFD. A byte order mark is dropped.
    """
    for bom, name in BOMS:
        if payload.startswith(bom):
            return payload[len(bom) :].decode(name, "replace"), name, "bom"
    for source, label in (("http", http_charset), ("meta", None)):
        declared = codec_of(label) if source == "http" else declared_in(payload)
        if declared and (text := _believed(payload, declared)) is not None:
            return text, declared[0], source
    valid = None if _ESCAPES.search(payload[:PRESCAN]) else _as_utf8(payload)
    if valid is not None:
        return valid, "utf-8", "utf8"
    name, codec = _detected(payload)
    return payload.decode(codec, "replace"), name, "detector"


@lru_cache(maxsize=4096)
def codec_of(label: str | None) -> tuple[str, str] | None:
    """(WHATWG name, Python codec) of a charset label; None where it names no encoding."""
    for part in re.split(r"[,;\s]+", (label or "").strip().strip("\"'").lower()):
        if part in FURTHER:
            return FURTHER[part]
        if part and (found := map_encoding_to_html5(part, fallback_utf8=False)):
            name = found.lower()
            return WIDEST.get(name) or (re.sub(r"^cp(125\d)$", r"windows-\1", name).replace("iso8859", "iso-8859"), name)
    return None


def declared_in(payload: bytes) -> tuple[str, str] | None:
    """The encoding that the page declares in a meta element or its XML declaration; UTF-16 there cannot be true and means UTF-8."""
    head = _COMMENT.sub(b"", payload[:PRESCAN])
    for found in (*_META.finditer(head), *_XML.finditer(head)):
        if named := codec_of(found[1].decode("ascii", "replace")):
            return UTF8 if named[0].startswith("utf-16") else named
    return None


def _believed(payload: bytes, declared: tuple[str, str]) -> str | None:
    """The text by a declared encoding; None where the bytes refute it, which they can for the Unicode encodings only."""
    text = payload.decode(declared[1], "replace")
    if declared[0].startswith("utf-16") and b"\0" not in payload[:PRESCAN]:
        return None
    if declared == UTF8 and "\ufffd" in text:
        return None if text.count("\ufffd") > REFUTED * sum(len(run) for run in _NOT_ASCII.findall(text)) else text
    return text


def _as_utf8(payload: bytes) -> str | None:
    """The text where the bytes are UTF-8, perhaps cut inside the last character; None otherwise."""
    try:
        text, used = codecs.utf_8_decode(payload, "strict", False)
    except UnicodeDecodeError:
        return None
    return text if used == len(payload) else text + "\ufffd"


def _detected(payload: bytes) -> tuple[str, str]:
    """(name, codec) by the statistics of the bytes: resiliparse knows the web's encodings, charset_normalizer the others (mac, DOS, UTF-16).

    On 78 undeclared pages of chardet's and uchardet's tests resiliparse misses only what it does not know, and says UTF-8 then.
    """
    if b"\x1b$)C" in payload[:PRESCAN]:
        return FURTHER["iso-2022-kr"]
    found = detect_encoding(payload, max_len=4 * SAMPLE)
    if found and found != "utf-8" and (named := codec_of(found)):
        return named
    best = from_bytes(_sample(payload)).best()
    name = best.encoding if best else ""
    return codec_of(name.replace("_", "-")) or _python_codec(name) or ("windows-1252", "cp1252")


def _sample(payload: bytes) -> bytes:
    """The stretch of `SAMPLE` non-markup bytes that holds most non-ASCII ones."""
    text = _MARKUP.sub(b" ", payload[: 16 * SAMPLE]) if b"\0" not in payload[:SAMPLE] else payload[:SAMPLE]
    if len(text) <= SAMPLE:
        return text
    starts = range(0, len(text) - SAMPLE + 1, SAMPLE // 2)
    rich = max(starts, key=lambda at: len(text[at : at + SAMPLE].translate(None, _ASCII)))
    return text[rich : rich + SAMPLE]


def _python_codec(name: str) -> tuple[str, str] | None:
    """A detector's codec that the web's standard does not know (cp850, mac_greek)."""
    try:
        return (name.replace("_", "-"), name) if name and codecs.lookup(name) else None
    except LookupError:
        return None
