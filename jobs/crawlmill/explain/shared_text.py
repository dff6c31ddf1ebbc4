"""What two texts have in common, to show a person why one stands for the other."""

from __future__ import annotations

import difflib
import re
from typing import Any

from crawlmill.explain import excerpts

WORDS = 3_000  # of each text that are compared
PASSAGES = 2
# Scripts that do not space words are compared by characters.
_UNITS = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]|[^\W_]+")


def shared(left: str, right: str) -> dict[str, Any]:
    """Share of the words (of their first 3,000) that both texts have in the same order, and the longest passages that are alike.

    Returns:
        `left` and `right`: share of each text's words, 0 to 1; `passages`: excerpts of the left text, masked and cut, longest first.
    """
    ours, theirs = ([*_UNITS.finditer(text)][:WORDS] for text in (left, right))
    matcher = difflib.SequenceMatcher(None, [found[0].lower() for found in ours], [found[0].lower() for found in theirs], False)
    blocks = [block for block in matcher.get_matching_blocks() if block.size]
    common = sum(block.size for block in blocks)
    longest = sorted(blocks, key=lambda block: (-block.size, block.a))[:PASSAGES]
    passages = [excerpts.mask(left[ours[block.a].start() : ours[block.a + block.size - 1].end()]) for block in longest]
    return {"left": common / len(ours) if ours else 0.0, "right": common / len(theirs) if theirs else 0.0, "passages": passages}
