"""What a caller is told of a body that cannot be read."""

from __future__ import annotations

from datetime import date, time
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from common.bodies import problem_words


class Colour(StrEnum):
    """Something of a closed list."""

    RED = "RED"
    BLUE = "BLUE"


class Inner(BaseModel):
    """Something in something."""

    count: int


class Body(BaseModel):
    """A field of every type that the services' bodies have."""

    model_config = ConfigDict(extra="forbid")

    whole: Annotated[int, Field(ge=1, le=9)]
    number: Annotated[float, Field(gt=0, lt=9, allow_inf_nan=False)]
    yes: bool
    words: Annotated[str, StringConstraints(min_length=2, max_length=3, pattern="^[a-z]+$")]
    several: Annotated[list[str], Field(min_length=1, max_length=1)]
    one_of: frozenset[str]
    pair: tuple[str, ...]
    named: dict[str, str]
    colour: Colour
    way: Literal["up", "down"]
    identity: UUID
    day: date
    at: AwareDatetime
    hour: time
    inner: Inner


WRONG: tuple[Any, ...] = (
    None,
    "",
    "x",
    "xxxx",
    "X1",
    [],
    ["a", "b"],
    {},
    0,
    10,
    1.5,
    True,
    "nan",
    "2027-01-31T14:30:00",
    "2027-01-31",
)


@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_no_mistake_is_told_in_the_words_of_a_library(value: Any) -> None:
    """Whatever stands in whatever field, in JSON or as a form has it: French, and for software what is allowed."""
    for body in (dict.fromkeys(Body.model_fields, value), {"unknown": value}, value):
        try:
            TypeAdapter(Body).validate_python(body)
        except ValidationError as error:
            for problem in error.errors():
                said = problem_words(problem, exact=True)
                for english in ("nput", "should", "required", "valid ", "least", "expected", " or ", "not "):
                    assert english not in said, (problem["type"], said)


def test_software_is_told_what_is_allowed_and_a_page_has_its_own_words() -> None:
    """The closed list, the bound; a page's word for the same kind comes first."""
    with pytest.raises(ValidationError) as caught:
        Body.model_validate({"colour": "GREEN", "whole": 10})
    told = {problem["loc"][0]: problem for problem in caught.value.errors()}
    assert problem_words(told["colour"], exact=True) == "valeur inconnue (attendu 'RED' ou 'BLUE')"
    assert problem_words(told["whole"], exact=True) == "trop grand (au plus 9)"
    assert problem_words(told["whole"]) == "trop grand"
    assert problem_words(told["whole"], {"less_than_equal": "au plus neuf"}) == "au plus neuf"
    assert problem_words(told["day"]) == "manque"
