"""Trains a fastText scorer of good texts against others: `crawlmill train-scorer` as a job. `--help` says what it takes."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    from crawlmill.cli import main

    sys.argv.insert(1, "train-scorer")
    main()
