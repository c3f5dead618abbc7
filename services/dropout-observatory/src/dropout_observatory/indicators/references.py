"""The strategy's reference values, to be drawn beside the numbers; read from `references.yaml`."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict

from territory import reference

_FILE = Path(__file__).with_name("references.yaml")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Reference(_Frozen):
    """One figure of the strategy: its value by place, and the ends of the scale that it is drawn on."""

    title: str
    unit: str
    scale: tuple[float, float]
    values: dict[str, float]
    note: str

    @property
    def table(self) -> list[tuple[str, float | None]]:
        """France, the Region and every department; None is « non précisé »."""
        places = ["France", "Normandie", *(one.title for one in reference.departments().values())]
        return [(place, self.values.get(place)) for place in places]

    def at(self, value: float) -> float:
        """Where a value stands on the scale, in per cent of its length."""
        first, last = self.scale
        return 100 * (value - first) / (last - first)


class References(_Frozen):
    """All of them, and the document that says so."""

    source: str
    references: tuple[Reference, ...]


@cache
def references() -> References:
    """As the file has them."""
    return References.model_validate(yaml.safe_load(_FILE.read_text(encoding="utf-8")))
