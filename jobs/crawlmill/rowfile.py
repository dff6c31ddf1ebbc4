"""Files of rows for the shell: JSON lines (plain, .gz, .zst), Parquet, and `-` for standard input and output.

A file is written under another name and gets its own when it is whole: a run may read what it writes, and one that fails leaves nothing.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import sys
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

import zstandard

from crawlmill.errors import UserError

Row = dict[str, Any]
GROUP = 5000  # rows of a Parquet row group, which is what memory holds
_NO_UTF8 = re.compile("[\udc80-\udcff]")  # what a byte that is no UTF-8 is read as


def read(name: str) -> Iterator[Row]:
    """Rows of a file. Raises UserError for a file that is missing or breaks off, and for a line that is no JSON object, with its number."""
    if name.endswith(".parquet"):
        yield from _read_parquet(name)
        return
    with ExitStack() as stack:
        for number, line in enumerate(_open_lines(name, stack), 1):
            if not line.strip():
                continue
            if not line.isascii() and _NO_UTF8.search(line):
                raise UserError(f"{name} line {number} is not UTF-8: convert the file, for example by `iconv -f LATIN1 -t UTF-8`")
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise UserError(f"{name} line {number} is not JSON ({error}): give JSON lines or Parquet") from None
            if not isinstance(row, dict):
                raise UserError(f"{name} line {number} is not a JSON object: each line must be one, with a key `text`")
            yield row


def _open_lines(name: str, stack: ExitStack) -> Iterable[str]:
    try:
        raw = sys.stdin.buffer if name == "-" else stack.enter_context(Path(name).open("rb"))
    except OSError as error:
        raise _unreadable(name, error) from None
    if name.endswith(".gz"):
        raw = cast(BinaryIO, stack.enter_context(gzip.open(raw)))
    elif name.endswith(".zst"):
        raw = _zst(raw)
    try:
        yield from io.TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape")
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{name} is damaged or not of the kind that its name says ({error}): fetch or write it again") from None


def _zst(raw: BinaryIO) -> BinaryIO:
    """What a .zst file holds. Arrow's reader tells a file that breaks off; the one of `zstandard` takes it for the end."""
    import pyarrow as pa

    return cast(BinaryIO, pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd"))


def _unreadable(name: str, error: OSError) -> UserError:
    return UserError(f"{name or repr(name)} cannot be read ({error.strerror}): give the path of a file, or - for standard input")


def _read_parquet(name: str) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        raw = Path(name).open("rb")
    except OSError as error:
        raise _unreadable(name, error) from None
    try:
        with raw, pq.ParquetFile(raw) as file:
            for batch in file.iter_batches(GROUP):
                yield from batch.to_pylist()
    except (OSError, pa.ArrowException, UnicodeError) as error:
        raise UserError(f"{name} is no readable Parquet file ({error}): write it again, or give JSON lines") from None


def write(name: str, rows: Iterable[Row]) -> int:
    """Write rows; the kind follows the name. Returns how many there were.

    Raises UserError where the file cannot be written or its kind cannot hold the rows; an older file of that name then stays as it was.
    """
    with whole_file(name) as out:
        return _write_lines(out, rows) if name == "-" else _fill(out, name, rows)


@contextmanager
def whole_file(name: str) -> Iterator[BinaryIO]:
    """A file to write to, which gets its name when the block is through; `-` is standard output. Raises UserError where it cannot be written."""
    target = Path(name).resolve()
    aside = name != "-" and (target.is_file() or not target.exists())
    draft = target.with_name(f".{target.name}.{os.getpid()}.part") if aside else target
    try:
        if name == "-":
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
            return
        with draft.open("wb") as out:
            yield out
        if aside:
            draft.replace(target)
    except BrokenPipeError:
        raise
    except OSError as error:
        shown = "standard output" if name == "-" else name or repr(name)
        raise UserError(f"{shown} cannot be written ({error.strerror or error}): check the folder and its free space") from None
    finally:
        if aside:
            draft.unlink(missing_ok=True)


def _fill(raw: BinaryIO, name: str, rows: Iterable[Row]) -> int:
    if name.endswith(".parquet"):
        return _write_parquet(raw, name, rows)
    with ExitStack() as stack:
        out: Any = raw
        if name.endswith(".gz"):
            out = stack.enter_context(gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename=""))
        elif name.endswith(".zst"):
            out = stack.enter_context(zstandard.ZstdCompressor().stream_writer(raw, closefd=False))
        return _write_lines(out, rows)


def _write_lines(out: Any, rows: Iterable[Row]) -> int:
    count = 0
    for row in rows:
        out.write((json.dumps(row, ensure_ascii=False, default=str) + "\n").encode("utf-8", "replace"))
        count += 1
    out.flush()
    return count


def _write_parquet(out: BinaryIO, name: str, rows: Iterable[Row]) -> int:
    """Rows first go to an unnamed temporary file, a stream of Arrow a group: the schema is known when the last row has been seen."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rest, schema, count, groups = iter(rows), pa.schema([]), 0, 0
    with tempfile.TemporaryFile(prefix="crawlmill-") as spool:
        while held := list(islice(rest, GROUP)):
            try:
                table = pa.table(
                    {column: [row.get(column) for row in held] for column in {key: 0 for row in held for key in row}}
                )
                schema = pa.unify_schemas([schema, table.schema], promote_options="permissive")
            except (pa.ArrowException, UnicodeError) as error:
                raise UserError(f"{name} cannot hold these rows ({error}): write JSON lines (.jsonl) instead") from None
            with pa.ipc.new_stream(spool, table.schema) as stream:
                stream.write_table(table)
            count, groups = count + len(held), groups + 1
        spool.seek(0)
        with pq.ParquetWriter(out, schema, compression="zstd") as writer:
            for _ in range(groups):
                with pa.ipc.open_stream(spool) as stream:
                    table = pa.concat_tables([schema.empty_table(), stream.read_all()], promote_options="permissive")
                    writer.write_table(table)
    return count
