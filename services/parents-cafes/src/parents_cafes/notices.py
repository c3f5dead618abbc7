"""Who is written to, and when. What a household is owed to be written is noted with what happened (`registration.owed`); `write_owed` does, once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from common.pages import moment, slot
from common.sweepers import Sweeper
from common.transaction import Transaction
from parents_cafes import household_store, season, season_store, venue_store, words
from parents_cafes.state import Cafe, Coordinator, Plan, Policy, Venue
from parents_cafes.store import CAFES
from territory import reference

REQUEST_LINK, HOUSEHOLD_LINK, FACILITATOR_LINK = "cafe-request", "household", "facilitator"
_LINK_DAYS = 400
_OWED: dict[str, str] = {
    "registered": "Inscription confirmée",
    "waiting": "En liste d’attente",
    "offered": "Des places sont à vous",
    "merged": "Votre café change de lieu",
    "changed": "Jour ou lieu changé",
    "inaccessible": "Lieu plus accessible en fauteuil",
    "theme": "Autre thème",
    "outgrown": "Inscription close",
    "cancelled": "Votre café n’a pas lieu",
    "reminder": "C’est bientôt",
    "ended": "Inscription close",
}
# What matters most stands in the subject.
_FIRST = (
    "cancelled",
    "merged",
    "outgrown",
    "offered",
    "inaccessible",
    "changed",
    "theme",
    "ended",
    "waiting",
    "registered",
    "reminder",
)


async def verify(tx: Transaction, request_id: UUID, email: str, row: Any, policy: Policy) -> None:
    """The link that verifies an address; who did not ask reads that nothing will happen."""
    link = tx.signed_address("/confirmer", REQUEST_LINK, str(request_id), max(1, policy.request_hours // 24))
    body = [
        f"Une place a été demandée avec cette adresse pour le café des parents « {words.THEMES[row.theme]} » :",
        slot(row.starts_at, row.ends_at),
        words.where(row),
        "",
        f"Confirmez avant {policy.request_hours} heures, en une touche :",
        link,
        "",
        "La place n’est à vous qu’après cette confirmation. Vous n’avez rien demandé ? Ne faites rien, et tout s’efface.",
    ]
    await tx.mail(
        message_key=f"request:{request_id}",
        recipient=email,
        subject="Confirmez votre place au café des parents",
        body="\n".join(body),
    )


async def _write_owed(tx: Transaction, household_id: UUID) -> None:
    """Writes to a household what it is owed, in one mail."""
    if not (owed := await CAFES.take_owed(tx, household_id)):
        return
    household = await household_store.find_household(tx, household_id)
    rows = await household_store.registrations(tx, household_id=household_id)
    listed = [(row, owed[row.registration_id]) for row in rows if row.registration_id in owed]
    if not listed or household is None or household.email is None:
        return
    link = tx.signed_address("/mon-cafe", HOUSEHOLD_LINK, str(household_id), _LINK_DAYS)
    body = [
        *(line for row, what in listed for line in (*_lines(row, what), "")),
        "Voir, changer, annuler, en une touche :",
        link,
        "",
        "Ce lien est le vôtre : ne le transmettez pas.",
    ]
    first = min((what for _, what in listed), key=_FIRST.index)
    await tx.mail(
        message_key=f"household:{household_id}:{household.mail_count}",
        recipient=household.email,
        subject=f"{_OWED[first]} : café des parents",
        body="\n".join(body),
    )


write_owed = Sweeper("write_owed", CAFES.owed, _write_owed)


def _lines(row: Any, owed: str) -> list[str]:
    """One registration in a mail: when, where, and what to do."""
    what = f"« {words.THEMES[row.theme]} », {slot(row.starts_at, row.ends_at)}, {words.where(row)}"
    seats = words.parents(row.seat_count)
    match owed:
        case "registered":
            return [what, f"C’est confirmé pour {seats}. Votre code à l’accueil : {row.code}"]
        case "waiting":
            return [
                what,
                f"Vous êtes en liste d’attente ({seats}). Si des places reviennent, nous les gardons pour vous et vous écrivons ;",
                "sinon, vous passerez avant la prochaine fois.",
            ]
        case "offered":
            return [
                what,
                f"Nous gardons {row.seat_count} place(s) pour vous jusqu’à {moment(row.due_at)}. Prenez-les ou laissez-les.",
            ]
        case "merged":
            return [
                "Trop peu de parents étaient inscrits à votre café : il est réuni à celui-ci.",
                what,
                *_access(row),
                f"Vos places y sont gardées ({seats}). Jusqu’à {moment(row.moved_until)}, gardez, changez ou annulez librement ;",
                "sans réponse, elles restent à vous.",
            ]
        case "changed":
            return [
                "Le jour ou le lieu de votre café change :",
                what,
                *_access(row),
                _kept(row, seats),
            ]
        case "inaccessible":
            return [
                "Le lieu de votre café n’est plus accessible en fauteuil. Voici le jour et le lieu qui valent désormais :",
                what,
                _kept(row, seats),
                "Si vous avez besoin d’un accès en fauteuil, le lien montre les autres cafés qui ont de la place.",
            ]
        case "theme":
            return [
                "Le thème de votre café change :",
                what,
                _kept(row, seats),
            ]
        case "outgrown":
            return [
                what,
                f"Ce café a désormais moins de places que vous n’en demandez ({seats}) : vous n’attendez plus.",
                "Vous passerez avant la prochaine fois ; d’ici là, inscrivez-vous à moins, ou à un autre café.",
            ]
        case "cancelled":
            return [
                what,
                "Ce café n’a pas lieu. Vous passerez en premier la prochaine fois ; d’autres cafés ont peut-être de la place dès maintenant.",
            ]
        case "reminder":
            return [
                "À bientôt :",
                what,
                f"Pour {seats}, code {row.code}. Un empêchement ? Dites-le par le lien, d’autres attendent peut-être.",
            ]
        case _:
            return [what, f"Votre inscription est close : {words.END_REASONS.get(row.end_reason, '')}."]


def _access(row: Any) -> list[str]:
    """Of another place: whoever needs it has to know."""
    return [] if row.accessible else ["Ce lieu n’est pas accessible en fauteuil."]


def _kept(row: Any, seats: str) -> str:
    """What a household still has of a café that changed, and may do."""
    if row.state == "registered" and row.moved_until is not None:
        until = f"Jusqu’à {moment(row.moved_until)}, gardez, changez ou annulez librement ; sans réponse, elles restent à vous."
        return f"Vos places restent à vous ({seats}). {until}"
    if row.state == "offered":
        return (
            f"Nous gardons {row.seat_count} place(s) pour vous jusqu’à {moment(row.due_at)}. Prenez-les ou laissez-les."
        )
    return f"Votre place en liste d’attente reste à vous ({seats}) ; si cela ne va pas, changez ou annulez."


async def invite(tx: Transaction, household: Any, cafe: Cafe) -> None:
    """A household that found no place before is told that a café opens near, before everybody may register; once a period."""
    link = tx.signed_address("/mon-cafe", HOUSEHOLD_LINK, str(household.household_id), _LINK_DAYS)
    assert cafe.opens_at is not None
    body = [
        "La dernière fois, vous n’aviez pas trouvé de place. Un café des parents ouvre près de chez vous :",
        f"« {words.THEMES[cafe.plan.theme]} », {slot(cafe.plan.starts_at, cafe.plan.ends_at)},",
        f"{cafe.plan.venue.title}, {reference.commune_label(cafe.plan.venue.commune_code)}.",
        "",
        f"Jusqu’à {moment(cafe.opens_at)}, vous pouvez vous y inscrire avant les autres :",
        link,
    ]
    await tx.mail(
        message_key=f"invite:{household.household_id}:{words.period_code(cafe.period)}",
        recipient=household.email,
        subject="Un café des parents ouvre : vous passez avant",
        body="\n".join(body),
    )


async def write_to_coordinator(tx: Transaction, cafe: Cafe, target: Cafe | None, km: float) -> None:
    """A café of theirs was dissolved by the pass: into which, or called off."""
    contact = (await venue_store.find_coordinator(tx, cafe.coordinator_id)).contact_email
    if contact is None:
        return
    what = f"{slot(cafe.plan.starts_at, cafe.plan.ends_at)}, {cafe.plan.venue.title}"
    if target is None:
        told = f"Le café du {what} n’avait que {cafe.counts.taken} places prises, et aucun autre ne pouvait l’accueillir : il est annulé."
    else:
        told = (
            f"Le café du {what} n’avait que {cafe.counts.taken} places prises : il est réuni à celui du "
            f"{slot(target.plan.starts_at, target.plan.ends_at)}, {target.plan.venue.title} ({km:.0f} km)."
        )
    await tx.mail(
        message_key=f"pass:{cafe.cafe_id}",
        recipient=contact,
        subject="Café annulé" if target is None else "Cafés réunis",
        body=f"{told}\n\n{tx.address('/saison')}",
    )


async def write_to_facilitator(tx: Transaction, cafe_id: UUID, now: datetime) -> None:
    """Who runs the exchange gets the link to the list of the day."""
    (row,) = await season_store.cafes(tx, now, cafe_ids=[cafe_id])
    one = await venue_store.find_facilitator(tx, row.facilitator_id)
    if one is None:
        return
    link = tx.signed_address("/animation", FACILITATOR_LINK, str(row.facilitator_id), _LINK_DAYS)
    body = [
        f"« {words.THEMES[row.theme]} », {slot(row.starts_at, row.ends_at)}",
        words.where(row),
        f"{row.registered} parents sont inscrits.",
        "",
        "La liste du jour, à cocher sur le téléphone ou à imprimer :",
        link,
    ]
    await tx.mail(
        # Another person, or another day, has a list of their own.
        message_key=f"list:{cafe_id}:{row.facilitator_id}:{row.starts_at:%Y%m%d%H%M}",
        recipient=one.email,
        subject="Votre café des parents : la liste",
        body="\n".join(body),
    )


async def tell_facilitator(tx: Transaction, before: Cafe, after: Cafe) -> None:
    """Who has the list of a café is told when it is otherwise, or no longer theirs; who runs it instead has the list."""
    one = await venue_store.find_facilitator(tx, before.plan.facilitator_id)
    was, now = before.plan, after.plan
    gone = after.state == "cancelled" or was.facilitator_id != now.facilitator_id
    if before.reminded_at is None or not (gone or season.word_of(was, now)):
        return
    said = "Ce café n’a pas lieu." if after.state == "cancelled" else "Ce café est confié à quelqu’un d’autre."
    if not gone:
        said = f"Désormais : {_described(now)}."
    if one is not None:
        link = tx.signed_address("/animation", FACILITATOR_LINK, str(was.facilitator_id), _LINK_DAYS)
        await tx.mail(
            message_key=f"exchange:{before.cafe_id}:{after.version}",
            recipient=one.email,
            subject="Un café que vous n’animez plus" if gone else "Un café que vous animez change",
            body=f"{_described(was)}\n{said}\n\nLes cafés que vous animez :\n{link}",
        )
    if after.state != "cancelled" and was.facilitator_id != now.facilitator_id and was.starts_at == now.starts_at:
        await write_to_facilitator(tx, before.cafe_id, await tx.now())


# -- what somebody else changed


async def tell_coordinators(tx: Transaction, who: Coordinator, changed: Sequence[tuple[Cafe, Cafe]]) -> None:
    """Whose cafés somebody else changed, opened or called off reads which, what is otherwise, and what they can do: once, in one mail."""
    by_coordinator: dict[UUID, list[tuple[Cafe, Cafe]]] = {}
    for before, after in changed:
        by_coordinator.setdefault(before.coordinator_id, []).append((before, after))
    for coordinator_id, theirs in by_coordinator.items():
        one = await venue_store.find_coordinator(tx, coordinator_id)
        told = [lines for before, after in theirs if (lines := await _differences(tx, before, after))]
        if one.contact_email is None or one.account == who.account or not told:
            continue
        before, last = theirs[-1]
        became = {"open": "est ouvert", "cancelled": "est annulé"}
        said = "change" if last.state == before.state else became[last.state]
        by = "L’agence l’a décidé" if who.may_all else "Qui suit ce lieu l’a décrit autrement"
        await tx.mail(
            # A café has another version after each change.
            message_key=f"changed:{last.cafe_id}:{last.version}",
            recipient=one.contact_email,
            subject=f"Un café que vous suivez {said}" if len(told) == 1 else "Des cafés que vous suivez changent",
            body="\n".join((f"{by} :", *(line for lines in told for line in ("", *lines)))),
        )


async def _differences(tx: Transaction, before: Cafe, after: Cafe) -> list[str]:
    """A café as it was, what is otherwise, and what whoever plans it can do; nothing where they would see no difference."""
    was, now = before.plan, after.plan
    if after.state == "cancelled":
        told = "Ce café est annulé. Chaque famille est prévenue, et passera en premier la prochaine fois."
        return [_described(was), told, f"En prévoir un autre : {tx.address('/saison/cafes/nouveau')}"]
    sides: dict[str, list[Any]] = {
        "Thème": [words.THEMES[plan.theme] for plan in (was, now)],
        "Quand": [slot(plan.starts_at, plan.ends_at) for plan in (was, now)],
        "Où": [_place(plan.venue) for plan in (was, now)],
        "Genre de lieu": [words.VENUE_KINDS[plan.venue.kind] for plan in (was, now)],
        "Accessible en fauteuil": ["oui" if plan.venue.accessible else "non" for plan in (was, now)],
        "Places assises du lieu": [plan.venue.capacity_count for plan in (was, now)],
        "Places du café": [plan.capacity_count for plan in (was, now)],
    }
    said = [f"{name} : {new} (jusqu’ici : {old})" for name, (old, new) in sides.items() if old != new]
    if was.facilitator_id != now.facilitator_id:
        # No name: it would outlive the person in a mail.
        said.append("Quelqu’un d’autre l’anime.")
    if after.state != before.state:
        said.append("Les inscriptions sont ouvertes.")
    if not said:
        return []
    anybody = before.counts.taken + before.counts.waiting > 0
    if anybody and not before.has_begun(await tx.now()) and season.word_of(was, now):
        said.append("Les familles inscrites sont prévenues, et peuvent annuler librement.")
    page = tx.address(f"/saison/cafes/{after.cafe_id}")
    return [_described(was), *said, f"Le voir, le changer ou l’annuler : {page}"]


def _described(plan: Plan) -> str:
    return f"« {words.THEMES[plan.theme]} », {slot(plan.starts_at, plan.ends_at)}, {_place(plan.venue)}"


def _place(venue: Venue) -> str:
    return ", ".join(filter(None, (venue.title, venue.address, reference.commune_label(venue.commune_code))))
