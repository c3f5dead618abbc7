"""What every request body shares: unknown fields are refused, texts are printable, days are near, nobody sends `UNKNOWN`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, TypeVar

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, StringConstraints

D = TypeVar("D", bound=date)

# Far from where a calendar ends, so that no term or time zone steps over its edge.
YEARS = range(2020, 2101)

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


def near(value: D) -> D:
    """A day or an instant of our years."""
    if value.year not in YEARS:
        raise ValueError(f"l’année va de {YEARS[0]} à {YEARS[-1]}")
    return value


def choices_of(problems: Sequence[Any]) -> dict[str, Any]:
    """The member `choices` of a refusal: what a value may mean that is not understood surely; none for other mistakes."""
    return next(({"choices": one["ctx"]["choices"]} for one in problems if one.get("ctx", {}).get("choices")), {})


def _utc(value: datetime) -> datetime:
    return near(value).astimezone(UTC).replace(microsecond=0)


class Addresses:
    """Which addresses this process can write to: `utf8` when its relay offers SMTPUTF8 (settings)."""

    utf8 = False


def _address(value: str) -> str:
    """An address in the one form that stands for a person; what a mailbox ignores is not ours to guess."""
    try:
        read = validate_email(value.strip(), check_deliverability=False)
    except EmailNotValidError:
        raise ValueError("adresse mail incorrecte") from None
    if not (Addresses.utf8 or read.local_part.isascii()):
        raise ValueError(
            f"nous ne pouvons pas écrire à une adresse avec des accents avant le @ (« {read.local_part} ») ; "
            "donnez-en une autre"
        )
    return read.normalized.lower()


Instant = Annotated[AwareDatetime, AfterValidator(_utc)]
Day = Annotated[date, AfterValidator(near)]
Email = Annotated[str, StringConstraints(max_length=254), AfterValidator(_address)]
