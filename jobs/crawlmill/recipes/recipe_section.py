"""What every part of a recipe is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of the recipe: frozen, no unknown keys, no infinities (they have no JSON)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
