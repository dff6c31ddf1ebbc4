"""Why an input record is no document: the vocabulary of `rejects.reason` as the extract stage writes it."""

from __future__ import annotations

REASONS: dict[str, str] = {
    # about a stretch of the file
    "empty_file": "The crawl file has no bytes.",
    "not_a_crawl_file": "The file is neither gzip nor WARC.",
    "truncated_file": "The crawl file ends inside a record.",
    "broken_member": "A gzip member cannot be inflated, or none begins where one should; reading went on at the next one.",
    "broken_record": "The WARC headers cannot be read or contradict what is there.",
    "too_large": "A record, its decoded payload, its text or what its gzip member inflates to exceeds the limit.",
    "not_fetched": "The crawl file could not be had from here on; a later run tries again.",
    # about a record
    "missing_header": "The record lacks an id, a target URI or a date.",
    "duplicate_id": "An earlier record has the same id.",
    "record_type": "A record that carries content of a type that is not read (resource, continuation, unknown).",
    "revisit": "The record only says that the content was seen before.",
    "bad_http": "The HTTP response header cannot be read.",
    "http_status": "The response is no success (2xx).",
    "mime": "The payload is of a type that is not read.",
    "mislabelled": "The payload is no text, whatever its media type says: a PDF file, an image, an archive.",
    "empty": "The payload is empty.",
    # about what may not be had
    "taken_down": "A takedown order of the lake names the record; its address is not kept.",
    # about what the recipe wants
    "opt_out": "An opt-out list names the page.",
    "blocklist": "A blocklist names the page.",
    "url_excluded": "The recipe's URL patterns leave the page out.",
    "other_language": "The crawl itself found other languages than the recipe wants.",
    # about a page
    "too_complex": "More tags, attributes or nesting than the parser may be given.",
    "quarantined": "The page held up or killed the extracting process, now or in an earlier run of this lake.",
    "parse_error": "The parser or the extraction backend gave up on the page.",
    "no_text": "No text was left as main content.",
}
