"""Pages taken out of a lake. Not a stage: it deletes from the tables of all of them."""

from __future__ import annotations

import sys

import click

from crawlmill.errors import CrawlmillError, UserError
from crawlmill.protocol.command import end
from crawlmill.verbs.takedown_cli import takedown

if __name__ == "__main__":
    try:
        takedown(standalone_mode=False)
    except click.UsageError as error:
        sys.exit(end(UserError(f"{error.format_message()} (see --help)")))
    except CrawlmillError as error:
        sys.exit(end(error))
