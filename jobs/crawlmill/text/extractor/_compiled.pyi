from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]
FORM: int

def odds(x: Array, feature: Array, border: Array, leaf: Array, found: Array, n: int, depth: int, /) -> None: ...
def openings(
    page: bytes, first: Array, keys: Array, values: Array, multiplier: int, shift: int, comment: int, /
) -> list[tuple[int, int]]: ...
def brackets(
    page: bytes, keys: Array, values: Array, multiplier: int, shift: int, least: int, /
) -> tuple[int, int, int, list[tuple[int, int]]]: ...
def markup(
    a: Array,
    rows: Array,
    close: Array,
    keys: Array,
    values: Array,
    void: Array,
    multiplier: int,
    shift: int,
    size: int,
    deepest: int,
    /,
) -> tuple[int, int]: ...
def counts(a: Array, starts: Array, ends: Array, text: Array, kind: Array, found: Array, field: int, /) -> None: ...
def attributes(
    a: Array,
    elements: Array,
    starts: Array,
    ends: Array,
    keys: Array,
    values: Array,
    bits: Array,
    likeness: Array,
    multiplier: int,
    shift: int,
    mix: int,
    /,
) -> None: ...
def sayings(
    a: Array,
    blocks: Array,
    starts: Array,
    ends: Array,
    keys: Array,
    values: Array,
    found: Array,
    multiplier: int,
    shift: int,
    groups: int,
    /,
) -> None: ...
