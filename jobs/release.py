"""A release over a named set of snapshots. Not a stage: it reads what stages have released and writes a folder of its own."""

from __future__ import annotations

import sys

import click

from crawlmill.errors import CrawlmillError, UserError
from crawlmill.protocol.command import end
from crawlmill.verbs.release_cli import release

if __name__ == "__main__":
    try:
        release(standalone_mode=False)
    except click.UsageError as error:
        sys.exit(end(UserError(f"{error.format_message()} (see --help)")))
    except CrawlmillError as error:
        sys.exit(end(error))
