"""What every request body shares: unknown fields are refused, texts are printable, nobody sends `UNKNOWN`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints

# Control characters have no place in a title, and PostgreSQL refuses one of them.
Text = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$", strip_whitespace=True)
]


class Body(BaseModel):
    """A request body: unknown fields are refused, so that a typing error is seen."""

    model_config = ConfigDict(extra="forbid")


def known(value: Any) -> Any:
    """A symbol of an enumeration but the default of its schema, which stands for one that a reader does not know."""
    if value == "UNKNOWN":
        raise ValueError("UNKNOWN n'est pas une valeur à envoyer")
    return value
