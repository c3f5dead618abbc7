"""`estuaire directory`: the first administrator; a person's data, exported and erased."""

from __future__ import annotations

from typing import Annotated
from uuid import uuid4

import typer
from pydantic import TypeAdapter, ValidationError

from common.bodies import Email
from common.failures import Refusal
from common.person_commands import person_commands
from common.repair import for_repair
from common.terminal import console, database_urls, fail, public_url, run, session_secret
from directory import handlers, store
from directory.app import service
from directory.handlers import Actor
from directory.messages import MemberRole, OrganisationKind, OrganisationState
from directory.personal_data import erase_address, export_address
from directory.state import Identity
from territory.identifiers import siret_is_valid

app = person_commands(
    service,
    people="Organisations and who acts for them: the first administrator, people's data.",
    known_by="the mail address",
    erase=erase_address,
    erases="Ends what somebody may do, and erases name, address, invitations, requests, mails and kept answers.",
    left="memberships",
    export=export_address,
)


@app.command()
def administrator(
    email: Annotated[str, typer.Argument(help="Who is invited to look after the agency's accesses.")],
    title: Annotated[
        str, typer.Option(help="The agency's name, where there is no agency yet.")
    ] = "Agence régionale de l’orientation",
    siret: Annotated[str, typer.Option(help="Its SIRET, where there is no agency yet.")] = "",
    commune: Annotated[str, typer.Option(help="INSEE code of its commune.")] = "76540",
) -> None:
    """Makes the agency where there is none, and invites somebody to look after it: a mail with a link goes to them."""
    try:
        address = TypeAdapter(Email).validate_python(email)
    except ValidationError:
        raise fail(f"{email!r} is no mail address") from None

    async def work() -> None:
        address_of = public_url(service.name)
        async with for_repair(
            service, database_urls()[service.name], secret=session_secret(), public_url=address_of
        ) as runtime:
            operator = Actor("", agency=True)
            async with runtime.database.transaction() as tx:
                known = await store.listed(
                    tx, kind=OrganisationKind.AGENCY.value, states=[OrganisationState.VERIFIED.value]
                )
                organisation_id = known[0].organisation_id if known else uuid4()
                if not known:
                    if not siret:
                        raise fail("there is no agency yet: give its SIRET with --siret")
                    if not siret_is_valid(siret):
                        raise fail(f"{siret!r} is no SIRET: it has 14 digits, of which the last makes the sum right")
                    identity = Identity(title, frozenset({OrganisationKind.AGENCY}), commune, siret)
                    refusal = await handlers.register(tx, operator, organisation_id, identity, None, another=True)
                    if refusal is not None:
                        raise fail(refusal.detail)
                result = await handlers.invite(
                    tx, operator, organisation_id, address, MemberRole.AGENCY, None, manager=True
                )
                if isinstance(result, Refusal):
                    raise fail(result.detail)
                row = await store.invitation(tx, result["invitation_id"])
            assert row is not None
            console.print(
                f"{address} is invited to {row.title} until {row.expires_at:%Y-%m-%d}; the mail goes out when the service runs"
            )

    run(work())
