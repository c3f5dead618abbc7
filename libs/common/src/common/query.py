"""Query strings of pages: blanks and unknown values are left out, so that an old link never fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, ValidationError


class Query(BaseModel):
    """What a page is asked for; every field has a default."""

    model_config = ConfigDict(extra="ignore")

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Self:
        """From a query string or a form."""
        given: dict[str, Any] = {
            name: value for name, value in query.items() if name in cls.model_fields and value.strip()
        }
        while True:
            try:
                return cls(**given)
            except ValidationError as error:
                for problem in error.errors():
                    given.pop(str(problem["loc"][0]), None)

    def query(self, **changes: Any) -> str:
        """The same question, with changes, as the end of an address; a default is left out."""
        asked = self.model_dump(exclude_defaults=True, mode="json") | changes
        return urlencode({name: "1" if value is True else value for name, value in asked.items()})
