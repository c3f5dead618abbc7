"""Organisations that take interns: who they are, their charter and label, and their suspension when they stay silent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from dateutil.relativedelta import relativedelta
from sqlalchemy import Row

from common.failures import Refusal
from common.messages import Message
from common.reconcile import LastMessages
from common.sweepers import NIL, Sweeper
from common.transaction import Transaction
from stage_matching import store
from stage_matching.messages import (
    CharterSigned,
    Commitment,
    HostDescribed,
    HostKind,
    HostReinstated,
    HostSuspended,
    LabelAwarded,
    LabelEndReason,
    LabelWithdrawn,
    SuspensionReason,
)
from territory.working_time import PARIS

_SUSPENDED_FR = {
    SuspensionReason.SILENCE: "Plusieurs candidatures sont restées sans réponse : vos offres ne sont plus proposées, et celles qui attendaient "
    "encore sont closes. Quand vous pouvez répondre à nouveau, dites-le :",
    SuspensionReason.AGENCY: "L’agence a suspendu vos offres : elles ne sont plus proposées, et les candidatures sans convention sont closes. "
    "Les stages sous convention tiennent, et chaque partie est prévenue. Pour en parler, écrivez à l’agence.",
}
_LABEL_ENDS_FR = {
    LabelEndReason.CHARTER_ENDED: "La charte d’engagement a pris fin. Vous pouvez la signer à nouveau :",
    LabelEndReason.RULE_NOT_MET: "Les conditions du label ne sont plus remplies. Vos offres et les stages prévus ne changent pas. "
    "Pour en parler, écrivez à l’agence.",
    LabelEndReason.AGENCY: "L’agence a retiré le label. Vos offres et les stages prévus ne changent pas. Pour en parler, écrivez-lui.",
}
NOT_REGISTERED = Refusal("unknown_host", "Décrivez d’abord votre organisme.")


@dataclass(frozen=True)
class Identity:
    """What the public may know of an organisation."""

    host_name: str
    siret: str
    kind: HostKind
    commune_code: str
    fictitious: bool = False


async def describe(
    tx: Transaction, host_id: UUID, identity: Identity, contact_email: str | None, *, by_table: bool = False
) -> Refusal | None:
    """An organisation registers or changes its description, or a table brings it; one SIRET stands for one organisation."""
    other = await of_siret(tx, identity.siret)
    if other is not None and other.host_id != host_id:
        return Refusal("siret_taken", "Ce SIRET est déjà inscrit par un autre compte : écrivez à l’agence.")
    if other is not None and by_table and not other.claimable:
        return Refusal("host_has_account", "Cet organisme a son compte : il décrit lui-même ses offres.")
    await _insert(tx, host_id, identity, claimable=by_table)
    row = await lock(tx, host_id)
    known = identity_of(row)
    await tx.execute(
        """UPDATE host SET host_name = :host_name, siret = :siret, kind = :kind, commune_code = :commune_code,
               fictitious = :fictitious, contact_email = COALESCE(:contact_email, contact_email) WHERE host_id = :id""",
        id=host_id,
        contact_email=contact_email,
        **_values(identity),
    )
    if row.version == 0 or known != identity:
        await _tell(tx, host_id, row.version, described(identity, await tx.now()))
    return None


async def of_siret(tx: Transaction, siret: str) -> Any:
    """The organisation of a SIRET, or None; whoever else gives the same waits until this transaction ends."""
    await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended(:siret, 0))", siret=siret)
    return await tx.fetch_one("SELECT * FROM host WHERE siret = :siret", siret=siret)


def described(identity: Identity, now: datetime) -> HostDescribed:
    """The whole description."""
    return HostDescribed(
        occurred_at=now,
        host_name=identity.host_name,
        siret=identity.siret,
        kind=identity.kind,
        commune_code=identity.commune_code,
        fictitious=identity.fictitious,
    )


async def sign_charter(tx: Transaction, host_id: UUID, commitments: list[Commitment]) -> Refusal | None:
    """The organisation commits itself from today on, for the policy's months; signing again renews."""
    row = await lock(tx, host_id)
    if row is None:
        return NOT_REGISTERED
    now = await tx.now()
    signed_on = now.astimezone(PARIS).date()
    ends_on = signed_on + relativedelta(months=(await store.policy_at(tx, now)).label_months)
    await tx.execute(
        "UPDATE host SET charter_signed_on = :signed_on, charter_ends_on = :ends_on WHERE host_id = :id",
        id=host_id,
        signed_on=signed_on,
        ends_on=ends_on,
    )
    message = CharterSigned(occurred_at=now, signed_on=signed_on, ends_on=ends_on, commitments=commitments)
    await _tell(tx, host_id, row.version, message)
    return None


async def award_label(tx: Transaction, host_id: UUID) -> Refusal | None:
    """The agency awards the label to an organisation whose charter runs, until the charter ends."""
    row = await lock(tx, host_id)
    if row is None:
        return NOT_REGISTERED
    now = await tx.now()
    if row.charter_ends_on is None or row.charter_ends_on < now.astimezone(PARIS).date():
        return Refusal("no_charter", "L’organisme n’a pas de charte en cours : il doit d’abord la signer.")
    if row.suspended_reason is not None:
        return Refusal("host_suspended", "L’organisme est suspendu : il ne peut pas recevoir le label.")
    if row.label_ends_on == row.charter_ends_on:
        return None
    await _set_label(tx, host_id, row.charter_ends_on)
    await _tell(tx, host_id, row.version, LabelAwarded(occurred_at=now, ends_on=row.charter_ends_on))
    return None


async def withdraw_label(tx: Transaction, host_id: UUID, reason: LabelEndReason) -> Refusal | None:
    """The label ends before its day."""
    row = await lock(tx, host_id)
    if row is None or row.label_ends_on is None:
        return Refusal("no_label", "L’organisme n’a pas le label.")
    await _set_label(tx, host_id, None)
    await _tell(tx, host_id, row.version, LabelWithdrawn(occurred_at=await tx.now(), reason=reason))
    await _write(tx, row, "Votre label est retiré", _LABEL_ENDS_FR[reason])
    return None


async def suspend(tx: Transaction, host_id: UUID, reason: SuspensionReason, expired_count: int = 0) -> Refusal | None:
    """Its offers go out of sight; those who wait for its answer are released by the sweeper. The agency's word stands above silence."""
    row = await lock(tx, host_id)
    if row is None:
        return NOT_REGISTERED
    if row.suspended_reason in (reason, SuspensionReason.AGENCY):
        return None
    await tx.execute("UPDATE host SET suspended_reason = :reason WHERE host_id = :id", id=host_id, reason=reason.value)
    message = HostSuspended(occurred_at=await tx.now(), reason=reason, expired_count=expired_count)
    await _tell(tx, host_id, row.version, message)
    await _write(tx, row, "Vos offres sont suspendues", _SUSPENDED_FR[reason])
    return None


async def reinstate(tx: Transaction, host_id: UUID, *, by_agency: bool) -> Refusal | None:
    """The organisation says that it answers again; what the agency suspended, the agency reinstates."""
    row = await lock(tx, host_id)
    if row is None or row.suspended_reason is None:
        return Refusal("not_suspended", "L’organisme n’est pas suspendu.")
    if row.suspended_reason == SuspensionReason.AGENCY and not by_agency:
        return Refusal("suspended_by_agency", "L’agence a suspendu l’organisme : écrivez-lui.")
    now = await tx.now()
    await tx.execute(
        "UPDATE host SET suspended_reason = NULL, answers_from = :now WHERE host_id = :id", id=host_id, now=now
    )
    await _tell(tx, host_id, row.version, HostReinstated(occurred_at=now))
    return None


async def _silent(tx: Transaction, after: UUID, limit: int, *, host_id: UUID | None = None) -> Sequence[Row[Any]]:
    """Hosts, or one, that let the policy's number of applications expire, and answered none, within its days."""
    now = await tx.now()
    policy = await store.policy_at(tx, now)
    return await tx.fetch_all(
        """SELECT o.host_id, count(*) FILTER (WHERE a.state = 'expired' AND a.accepted_at IS NULL) AS expired_count
           FROM application a JOIN offer o USING (offer_id) JOIN host h USING (host_id)
           WHERE a.origin = 'DIRECT' AND h.suspended_reason IS NULL AND o.host_id > :after
             AND (CAST(:host_id AS uuid) IS NULL OR o.host_id = :host_id)
             AND COALESCE(a.accepted_at, a.ended_at) > GREATEST(CAST(:since AS timestamptz), COALESCE(h.answers_from, '-infinity'))
           GROUP BY o.host_id
           HAVING count(*) FILTER (WHERE a.state = 'expired' AND a.accepted_at IS NULL) >= :many
              AND count(*) FILTER (WHERE a.accepted_at IS NOT NULL OR a.state = 'refused') = 0
           ORDER BY o.host_id LIMIT :limit""",
        since=now - timedelta(days=policy.silence_days),
        many=policy.silence_expired_count,
        after=after,
        host_id=host_id,
        limit=limit,
    )


async def _silent_hosts(tx: Transaction, after: UUID, limit: int) -> list[UUID]:
    return [row.host_id for row in await _silent(tx, after, limit)]


async def _suspend_silent(tx: Transaction, host_id: UUID) -> None:
    await lock(tx, host_id)
    for row in await _silent(tx, NIL, 1, host_id=host_id):
        await suspend(tx, host_id, SuspensionReason.SILENCE, row.expired_count)


suspend_silent = Sweeper("suspend_silent", _silent_hosts, _suspend_silent)


# -- rows


async def find(tx: Transaction, host_id: UUID) -> Any:
    """A host's row, or None when it has not described itself."""
    return await tx.fetch_one("SELECT * FROM host WHERE host_id = :id AND version > 0", id=host_id)


async def listed(tx: Transaction, wanted: str = "", limit: int | None = None) -> Any:
    """Every host by name, for the agency; or those whose name or SIRET has a text."""
    return await tx.fetch_all(
        """SELECT host_id, host_name, siret, kind, commune_code, fictitious, suspended_reason, charter_ends_on, label_ends_on
           FROM host WHERE strpos(lower(host_name), lower(:wanted)) > 0 OR starts_with(siret, replace(:wanted, ' ', ''))
           ORDER BY host_name, host_id LIMIT :limit""",
        wanted=wanted,
        limit=limit,
    )


async def restate(tx: Transaction, host_id: UUID, last: LastMessages) -> Sequence[Message]:
    """A host as this database has it; one that only the log remembers comes back without its contact."""
    if (known := last.of(HostDescribed)) is not None:
        identity = Identity(known.host_name, known.siret, known.kind, known.commune_code, known.fictitious)
        await _insert(tx, host_id, identity)
    row, now = await lock(tx, host_id), await tx.now()
    messages: list[Message] = [described(identity_of(row), now)]
    if row.label_ends_on is not None:
        messages.append(LabelAwarded(occurred_at=now, ends_on=row.label_ends_on))
    elif LabelAwarded in last:
        messages.append(LabelWithdrawn(occurred_at=now, reason=LabelEndReason.AGENCY))
    if row.suspended_reason is not None:
        reason = SuspensionReason(row.suspended_reason)
        messages.append(HostSuspended(occurred_at=now, reason=reason, expired_count=0))
    elif HostSuspended in last:
        messages.append(HostReinstated(occurred_at=now))
    return messages


async def _insert(tx: Transaction, host_id: UUID, identity: Identity, *, claimable: bool = False) -> None:
    values = _values(identity) | {"claimable": claimable}
    await tx.execute(
        f"""INSERT INTO host (host_id, version, {", ".join(values)}) VALUES (:id, 0, {", ".join(":" + name for name in values)})
            ON CONFLICT DO NOTHING""",
        id=host_id,
        **values,
    )


def identity_of(row: Any) -> Identity:
    """From a row of `host`."""
    return Identity(row.host_name, row.siret, HostKind(row.kind), row.commune_code, row.fictitious)


async def lock(tx: Transaction, host_id: UUID) -> Any:
    """A host's row, locked, or None."""
    return await tx.fetch_one("SELECT * FROM host WHERE host_id = :id FOR UPDATE", id=host_id)


async def _write(tx: Transaction, row: Any, subject: str, said: str) -> None:
    """A mail to the organisation, once for each time that something is decided of it; `row` is from before."""
    if row.contact_email is not None:
        await tx.mail(
            message_key=f"host:{row.host_id}:{row.version}",
            recipient=row.contact_email,
            subject=subject,
            body=f"{row.host_name}\n{said}\n\n{tx.address('/mes-offres')}",
        )


async def _set_label(tx: Transaction, host_id: UUID, ends_on: date | None) -> None:
    await tx.execute("UPDATE host SET label_ends_on = :ends_on WHERE host_id = :id", id=host_id, ends_on=ends_on)


async def _tell(tx: Transaction, host_id: UUID, version: int, *messages: Message) -> None:
    version = await tx.emit(messages, aggregate_id=host_id, version=version)
    await tx.execute("UPDATE host SET version = :version WHERE host_id = :id", id=host_id, version=version)


def _values(identity: Identity) -> dict[str, Any]:
    return {
        "host_name": identity.host_name,
        "siret": identity.siret,
        "kind": identity.kind.value,
        "commune_code": identity.commune_code,
        "fictitious": identity.fictitious,
    }
