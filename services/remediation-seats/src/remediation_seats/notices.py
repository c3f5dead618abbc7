"""Who is written to, and when: what happened to a hold, a seat that opens for an alert, a structure that is silent.

Mails are rows of the command's own transaction, once per occasion and recipient; none names a young person.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode
from uuid import UUID, uuid4

from common.failures import Refusal
from common.pages import count, day, moment
from common.sweepers import Sweeper
from common.transaction import Transaction
from remediation_seats import notice_store, store
from remediation_seats.domain import freshness, misfits
from remediation_seats.messages import HoldConfirmed, HoldEnded, HoldEndReason, SeatHeld, StructureKind
from remediation_seats.state import Decision, Policy, Profile, Programme
from territory import reference, weeks

_ENDS_FOR_PRESCRIBER = {
    HoldEndReason.DECLINED: "La structure a décliné la retenue. Cherchez une autre place",
    HoldEndReason.EXPIRED: "La structure n’a pas répondu à temps ; la place n’est plus retenue. Cherchez à côté ou rappelez-la",
    HoldEndReason.NO_SHOW: "Le jeune n’est pas venu au jour convenu ; la place est rendue",
}
_ENDS_FOR_STRUCTURE = {
    HoldEndReason.WITHDRAWN: "Le prescripteur a rendu la place",
    HoldEndReason.RELEASED: "Le jeune a été confirmé ailleurs ; la place est rendue",
}


@dataclass(frozen=True)
class Alert:
    """A prescriber's wish to be told when a seat opens for a profile, within a radius (km) of a commune."""

    alert_id: UUID
    prescriber_id: str
    commune_code: str
    radius_km: float
    profile: Profile
    kind: StructureKind | None
    created_at: datetime
    ends_at: datetime

    @property
    def query(self) -> str:
        """The search that finds what it waits for, as the end of the page's address."""
        wish = {
            "commune": reference.commune_label(self.commune_code),
            "rayon": f"{self.radius_km:.0f}",
            "age": self.profile.age,
            "niveau": self.profile.level,
            "genre": self.kind,
            "internat": int(self.profile.needs_boarding) or None,
            "fauteuil": int(self.profile.needs_wheelchair_access) or None,
        }
        return urlencode({name: value for name, value in wish.items() if value is not None})

    def wants(self, programme: Programme, kind: str, commune_code: str) -> bool:
        """Whether a seat of this programme is what it waits for."""
        home, there = reference.communes()[self.commune_code], reference.communes().get(commune_code)
        return (
            (self.kind is None or self.kind == kind)
            and there is not None
            and home.km_to(there) <= self.radius_km
            and not misfits(programme.conditions, self.profile)
        )


def countable(programme: Programme, policy: Policy, now: datetime) -> int:
    """Seats that a prescriber could hold now: free, open, and declared recently enough."""
    declared = programme.declaration.observed_at if programme.declaration else None
    usable = programme.conditions.open and freshness(declared, policy, now) in ("fresh", "ageing")
    return programme.counts.free_count if usable else 0


async def follow(tx: Transaction, before: Programme, decision: Decision, policy: Policy, now: datetime) -> None:
    """Writes to those whom a decision concerns; called once for each, after it is saved."""
    # Why a hold ended, or is otherwise than it was made (commitments).
    told: dict[UUID, str] = dict(decision.notes.get("told") or {})  # type: ignore[call-overload]
    for message in decision.messages:
        if isinstance(message, SeatHeld | HoldConfirmed | HoldEnded):
            await _write_of_hold(tx, message, told.pop(message.hold_id, ""))
    for hold_id, why in told.items():
        await write_of_change(tx, hold_id, why)
    if not countable(before, policy, now) and countable(decision.programme, policy, now):
        await _write_of_opening(tx, decision.programme, now)


async def write_of_change(tx: Transaction, hold_id: UUID, why: str) -> None:
    """A hold stays, in a programme that is another: its prescriber is told, and may give it back."""
    (row,) = await store.holds_of(tx, hold_id=hold_id)
    if row.contact_email:
        body = f"{why} ({row.structure_name}, code {row.code})\nLa retenue tient. Si le parcours ne convient plus au jeune, rendez la place :"
        await tx.mail(
            message_key=f"changed/{hold_id}/{(await tx.now()).isoformat()}",
            recipient=row.contact_email,
            subject=f"Le parcours change : {row.title}",
            body=f"{body}\n\n{tx.address('/mes-retenues')}",
        )


async def _write_of_hold(tx: Transaction, message: SeatHeld | HoldConfirmed | HoldEnded, why: str) -> None:
    (row,) = await store.holds_of(tx, hold_id=message.hold_id)
    title, code = row.title, f"code {row.code}"
    match message:
        case SeatHeld():
            recipient, subject = row.structure_email, f"Une place est retenue : {title}"
            body = (
                f"Un prescripteur retient une place pour un jeune ({code}).\nRépondez avant {moment(message.expires_at)},"
                f" sinon la place redevient libre.\nContact professionnel : {row.contact_email or 'non précisé'}\n\n{tx.address('/mes-places')}"
            )
        case HoldConfirmed():
            recipient, subject = row.contact_email, f"Retenue confirmée : {title}"
            body = (
                f"{row.structure_name} confirme la place ({code}).\nArrivée convenue : {day(message.arrival_on)}."
                f"\nLes autres retenues de ce jeune sont rendues.\n\n{tx.address('/mes-retenues')}"
            )
        case HoldEnded(reason=reason) if reason in _ENDS_FOR_PRESCRIBER:
            recipient, subject = row.contact_email, f"Retenue terminée : {title}"
            cause = f"\n{why}" if why else ""
            body = f"{_ENDS_FOR_PRESCRIBER[reason]} ({code}).{cause}\n\n{tx.address('/trouver')}"
        case HoldEnded(reason=reason):
            recipient, subject = row.structure_email, f"Une place vous est rendue : {title}"
            body = (
                f"{_ENDS_FOR_STRUCTURE.get(reason, 'La retenue est terminée')} ({code}).\n\n{tx.address('/mes-places')}"
            )
    if recipient:
        key = f"{message.record_name()}/{message.hold_id}"
        await tx.mail(message_key=key, recipient=recipient, subject=subject, body=body)


async def _write_of_opening(tx: Transaction, programme: Programme, now: datetime) -> None:
    """At most one mail a day for an alert and a programme, however often its last seat comes and goes."""
    structure = await store.structure(tx, programme.structure_id)
    for alert, recipient in await alerts(tx, now):
        if recipient and alert.wants(programme, structure.kind, structure.commune_code):
            commune = reference.communes()[structure.commune_code]
            km = reference.communes()[alert.commune_code].km_to(commune)
            free = count(programme.counts.free_count, "place libre", "places libres")
            await tx.mail(
                message_key=f"alert/{alert.alert_id}/{programme.programme_id}/{now.date()}",
                recipient=recipient,
                subject=f"Une place s’ouvre : {programme.conditions.title}",
                body=f"{free}, {structure.structure_name}, {commune.title} (à {km:.0f} km).\n"
                f"Elle n’est pas réservée : retenez-la si elle convient.\n\n{tx.address('/trouver?' + alert.query)}",
            )


# -- alerts


async def alerts(tx: Transaction, now: datetime, *, prescriber_id: str | None = None) -> list[tuple[Alert, str | None]]:
    """Alerts that have not ended, with the address of who set them; all, or one prescriber's."""
    rows = await notice_store.alerts(tx, now, prescriber_id)
    return [
        (
            Alert(
                alert_id=row.alert_id,
                prescriber_id=row.prescriber_id,
                commune_code=row.commune_code,
                radius_km=row.radius_km,
                profile=Profile(
                    age=row.age,
                    level=row.level,
                    needs_boarding=row.needs_boarding,
                    needs_wheelchair_access=row.needs_wheelchair_access,
                ),
                kind=StructureKind(row.kind) if row.kind else None,
                created_at=row.created_at,
                ends_at=row.ends_at,
            ),
            row.contact_email,
        )
        for row in rows
    ]


async def subscribe(
    tx: Transaction,
    prescriber_id: str,
    contact_email: str | None,
    *,
    commune_code: str,
    radius_km: float,
    profile: Profile,
    kind: StructureKind | None,
) -> Refusal | UUID:
    """A prescriber asks to be told; the same wish again gives the alert that is there."""
    if not contact_email:
        return Refusal(
            "no_address", "Votre compte n’a pas d’adresse professionnelle : nous ne saurions où vous écrire."
        )
    await store.lock_prescriber(tx, prescriber_id, contact_email)
    now = await tx.now()
    policy = await store.policy_at(tx, now)
    mine = [alert for alert, _ in await alerts(tx, now, prescriber_id=prescriber_id)]
    wish = (commune_code, radius_km, profile, kind)
    for alert in mine:
        if (alert.commune_code, alert.radius_km, alert.profile, alert.kind) == wish:
            return alert.alert_id
    if len(mine) >= policy.alerts_per_prescriber_max:
        return Refusal("alert_limit", f"Vous avez déjà {len(mine)} alertes : supprimez-en une.")
    alert = Alert(uuid4(), prescriber_id, *wish, created_at=now, ends_at=now + timedelta(days=policy.alert_days))
    await notice_store.insert_alert(tx, alert)
    return alert.alert_id


# -- silent structures


async def _silent_structures(tx: Transaction, after: UUID, limit: int) -> list[UUID]:
    now = await tx.now()
    return await notice_store.silent_structures(tx, await _silent_since(tx, now), _week_key(now), after, limit)


async def _remind_silent(tx: Transaction, structure_id: UUID) -> None:
    """Writes to a structure whose last declaration ages.

    The week is in the mail's key, so a second sweep, a late one or a replica's writes nothing twice.
    """
    now = await tx.now()
    programmes = await notice_store.silent_programmes(tx, structure_id, await _silent_since(tx, now))
    if programmes:
        await tx.mail(
            message_key=f"{_week_key(now)}{structure_id}",
            recipient=programmes[0].contact_email,
            subject="Vos places sont-elles à jour ?",
            body="\n".join(_silent_lines(programmes, await store.policy_at(tx, now)))
            + f"\n\nDeux clics suffisent, même si rien n’a changé :\n{tx.address('/mes-places')}",
        )


remind_silent = Sweeper("remind_silent", _silent_structures, _remind_silent)


def _week_key(now: datetime) -> str:
    return f"reminder/{weeks.week_of(now)}/"


async def _silent_since(tx: Transaction, now: datetime) -> datetime:
    return now - timedelta(days=(await store.policy_at(tx, now)).reminder_days)


def _silent_lines(programmes: list[notice_store.Silent], policy: Policy) -> Iterator[str]:
    yield f"Après {policy.stale_days} jours sans nouvelle, vos places ne sont plus montrées comme libres."
    for programme in programmes:
        since = f"déclaré le {day(programme.observed_at)}" if programme.observed_at else "jamais déclaré"
        yield f"– {programme.title} : {since}"
