"""Make the bucket of CRAWLMILL_LAKE where it is not there, and see that it keeps conditions of a PUT. For a first start; safe to repeat."""

from __future__ import annotations

import sys

from crawlmill import layout
from crawlmill.errors import UserError
from crawlmill.storage import bucket


def main() -> int:
    """Returns the exit code."""
    lake = layout.lake_root()
    try:
        bucket.make(lake)
        bucket.probe(lake)
    except UserError as error:
        print(f"crawlmill: user error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{lake} can be written to by any number of drivers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
