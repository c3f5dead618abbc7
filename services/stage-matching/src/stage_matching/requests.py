"""What internship a seeker looks for: filed by themselves here, by a school in a campaign."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4

from common.failures import Refusal
from common.transaction import Transaction
from stage_matching.candidates import is_family
from stage_matching.messages import Audience, RequestEnded, RequestEndReason, RequestFiled
from stage_matching.state import Seeker
from territory import reference, weeks


@dataclass(frozen=True)
class Wish:
    """A seeker's situation and wishes, best first: an offer's id, or a ROME domain, family or code."""

    audience: str
    sex: str
    age: int
    commune_code: str
    radius_km: int
    iso_weeks: tuple[str, ...]
    wishes: tuple[str, ...]
    priority_education: bool = False
    uai: str | None = None
    class_group: str | None = None
    pupil_code: str | None = None
    # A guardian's own address; the prescriber who accompanies; the month of birth, as YYYY-MM.
    guardian_email: str | None = None
    prescriber_id: str | None = None
    birth_month: str | None = None


COLUMNS = (
    "audience",
    "sex",
    "age",
    "commune_code",
    "radius_km",
    "iso_weeks",
    "wishes",
    "priority_education",
    "uai",
    "class_group",
    "pupil_code",
    "guardian_email",
    "prescriber_id",
    "birth_month",
)


def age_on(birth_month: str, day: date) -> int:
    """How old somebody of a month (YYYY-MM) is on a day, taken for a month younger where the month alone does not tell."""
    year, month = map(int, birth_month.split("-"))
    return day.year - year - (day.month <= month)


def age_in(row: Any, iso_week: str) -> int:
    """How old the person of a request is on the first day of a week; as it was told, where no month of birth is known."""
    if row.birth_month is None:
        told: int = row.age
        return told
    return age_on(row.birth_month, weeks.monday(iso_week))


def seeker_of(row: Any, iso_weeks: Sequence[str]) -> Seeker:
    """Who applies for some weeks, from a row of `request`."""
    return Seeker(row.seeker_id, row.audience, age_in(row, iso_weeks[0]), row.commune_code)


async def applicants(tx: Transaction, offer_id: UUID) -> dict[UUID, Seeker]:
    """By application, who waits for an answer of an offer, or has a place there."""
    rows = await tx.fetch_all(
        """SELECT a.application_id, a.iso_weeks AS applied_for, r.* FROM application a
               JOIN request r ON r.seeker_id = a.seeker_id AND r.campaign_id IS NOT DISTINCT FROM a.campaign_id
           WHERE a.offer_id = :id AND a.state IN ('submitted', 'seen', 'accepted', 'confirmed')""",
        id=offer_id,
    )
    return {row.application_id: seeker_of(row, row.applied_for) for row in rows}


def values_of(wish: Wish) -> dict[str, Any]:
    """As the columns of `request` have it."""
    return {name: getattr(wish, name) for name in COLUMNS} | {
        "iso_weeks": list(wish.iso_weeks),
        "wishes": list(wish.wishes),
    }


def wish_of(row: Any) -> Wish:
    """From a row of `request`."""
    values = {name: getattr(row, name) for name in COLUMNS}
    return Wish(**values | {"iso_weeks": tuple(row.iso_weeks), "wishes": tuple(row.wishes)})


def filed(seeker_id: UUID, campaign_id: UUID | None, wish: Wish, now: datetime) -> RequestFiled:
    """What may be told of a request: closed codes and a department, no more."""
    return RequestFiled(
        occurred_at=now,
        seeker_id=seeker_id,
        campaign_id=campaign_id,
        audience=Audience(wish.audience),
        department_code=reference.communes()[wish.commune_code].department_code,
        radius_km=wish.radius_km,
        iso_weeks=list(wish.iso_weeks),
        rome_codes=[one for one in wish.wishes if is_family(one)],
        offer_wish_count=sum(not is_family(one) for one in wish.wishes),
    )


def same_mailbox(one: str | None, other: str | None) -> bool:
    """Whether two addresses reach one person: capitals and what follows a + are no difference."""
    return one is not None and other is not None and _mailbox(one) == _mailbox(other)


def _mailbox(address: str) -> str:
    local, _, domain = address.strip().casefold().rpartition("@")
    return f"{local.partition('+')[0]}@{domain}"


async def why_not_guardian(tx: Transaction, account: str, contact_email: str | None, wish: Wish) -> Refusal | None:
    """A guardian has an address of their own: not the seeker's, by which they would sign for their parent."""
    row = await tx.fetch_one("SELECT contact_email FROM seeker WHERE account = :account", account=account)
    own = (contact_email, row.contact_email if row is not None else None)
    prescriber = await tx.fetch_one(
        "SELECT 1 FROM accompanist WHERE acts_as = :acts_as", acts_as=wish.prescriber_id or ""
    )
    if wish.prescriber_id is not None and prescriber is None:
        return Refusal("unknown_prescriber", "Ce prescripteur n’est pas connu ici : choisissez-le dans la liste.")
    if any(same_mailbox(wish.guardian_email, each) for each in own):
        return Refusal(
            "guardian_is_seeker",
            "L’adresse du parent doit être la sienne, pas la vôtre ; s’il n’en a pas, laissez ce champ vide : il signera sur papier.",
        )
    return None


async def file(tx: Transaction, seeker_id: UUID, wish: Wish) -> UUID:
    """A seeker, locked, files or changes their own request; repeating it says nothing new."""
    row = await tx.fetch_one(
        "SELECT * FROM request WHERE seeker_id = :id AND campaign_id IS NULL FOR UPDATE", id=seeker_id
    )
    if row is not None and row.version > 0 and wish_of(row) == wish:
        request_id: UUID = row.request_id
        return request_id
    request_id, version = (row.request_id, row.version) if row is not None else (uuid4(), 0)
    message = filed(seeker_id, None, wish, await tx.now())
    version = await tx.emit([message], aggregate_id=request_id, version=version)
    values = values_of(wish)
    await tx.execute(
        f"""INSERT INTO request (request_id, seeker_id, version, {", ".join(values)})
            VALUES (:request_id, :seeker_id, :version, {", ".join(":" + name for name in values)})
            ON CONFLICT (request_id) DO UPDATE SET version = excluded.version, {", ".join(f"{name} = excluded.{name}" for name in values)}""",
        request_id=request_id,
        seeker_id=seeker_id,
        version=version,
        **values,
    )
    return request_id


async def withdraw(tx: Transaction, seeker_id: UUID) -> None:
    """A seeker's own request is over and forgotten."""
    rows = await tx.fetch_all(
        "SELECT * FROM request WHERE seeker_id = :id AND campaign_id IS NULL AND version > 0 FOR UPDATE", id=seeker_id
    )
    await end(tx, rows, RequestEndReason.WITHDRAWN, await tx.now())
    await tx.execute("DELETE FROM request WHERE seeker_id = :id AND campaign_id IS NULL", id=seeker_id)


async def end(tx: Transaction, rows: Sequence[Any], reason: RequestEndReason, now: datetime) -> None:
    """Requests, whose rows are locked, are over; `rows` have request_id, seeker_id, campaign_id, version, obtained_wish."""
    for row in rows:
        rank = row.obtained_wish + 1 if reason == RequestEndReason.SERVED and row.obtained_wish is not None else None
        message = RequestEnded(
            occurred_at=now, seeker_id=row.seeker_id, campaign_id=row.campaign_id, reason=reason, wish_rank=rank
        )
        version = await tx.emit([message], aggregate_id=row.request_id, version=row.version)
        await tx.execute(
            "UPDATE request SET version = :version, ended_reason = :reason WHERE request_id = :id",
            id=row.request_id,
            version=version,
            reason=reason.value,
        )
