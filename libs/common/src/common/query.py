"""Query strings of pages: blanks and unknown values are left out, so that an old link never fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.datastructures import ImmutableMultiDict

# Ends the name of a hidden field: what the text of a field was when choices for it were offered below.
CHOICES_FOR = "-avant"


def texts(fields: Mapping[str, Any]) -> dict[str, str]:
    """The fields that are texts, by name; of those that come several times, the last.

    A choice that is ticked below a text has the text's name. It counts unless the text was written anew since the choices were offered.
    """
    found = {name: value for name, value in fields.items() if isinstance(value, str)}
    if isinstance(fields, ImmutableMultiDict):
        for name in [name.removesuffix(CHOICES_FOR) for name in found if name.endswith(CHOICES_FOR)]:
            written = fields.getlist(name)[0] if name in fields else ""
            if written.strip() not in ("", found[name + CHOICES_FOR]):
                found[name] = written
    return found


class Query(BaseModel):
    """What a page is asked for; every field has a default."""

    model_config = ConfigDict(extra="ignore")

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Self:
        """From a query string or a form."""
        given: dict[str, Any] = {
            name: value for name, value in texts(query).items() if name in cls.model_fields and value.strip()
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
