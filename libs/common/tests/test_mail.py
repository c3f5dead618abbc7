"""Mail that arrives, or somebody knows: a real SMTP server, a parser that is not the one that wrote, every state."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from fast_mail_parser import parse_email
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Row
from typer.testing import CliRunner

from common import mail
from common.bodies import Addresses, Email
from common.cli import app as estuaire
from common.failures import ended
from common.health import HealthReporter
from common.mail import MailSender, RelayAway, built, on_the_wire, one_line
from common.runtime import Runtime
from common.testing import FreshRuntime

TITLE = "Découverte des métiers de l’énergie éolienne en mer, de la forêt à l’atelier : été à Octeville-sur-Mer"


class Relay:
    """A mail relay that answers what a test says, by recipient, and counts connections."""

    def __init__(self) -> None:
        self.taken: list[Envelope] = []
        self.answers: dict[str, str] = {}
        self.sender_answer = "250 OK"
        self.connections: set[int] = set()

    async def handle_MAIL(self, server: Any, session: Session, envelope: Envelope, sender: str, options: Any) -> str:
        self.connections.add(id(session))
        envelope.mail_from = sender
        envelope.mail_options.extend(options)
        return self.sender_answer

    async def handle_RCPT(self, server: Any, session: Session, envelope: Envelope, to: str, options: Any) -> str:
        envelope.rcpt_tos.append(to)
        return self.answers.get(to, "250 OK")

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:
        self.taken.append(envelope)
        return "250 taken"

    @property
    def recipients(self) -> list[str]:
        """To whom it took a mail, in order."""
        return [envelope.rcpt_tos[0] for envelope in self.taken]


@asynccontextmanager
async def listening(relay: Relay, **options: Any) -> AsyncIterator[int]:
    """The port on which it listens."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(relay, hostname="relay", loop=loop, **options), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


class Office:
    """A service's database with mails, its sender, and the relay behind it."""

    def __init__(self, runtime: Runtime, relay: Relay) -> None:
        self.runtime, self.relay = runtime, relay
        self.sender = MailSender(runtime.service, runtime.database, runtime.settings)

    async def post(self, *recipients: str, subject: str = "Bonjour") -> None:
        """Stores a mail to each, in this order."""
        for recipient in recipients:
            async with self.runtime.database.transaction() as tx:
                await tx.mail(message_key=subject, recipient=recipient, subject=subject, body="Bonjour,\nà bientôt.")

    async def due_again(self) -> None:
        """What waits for a next try is due now."""
        async with self.runtime.database.transaction() as tx:
            await tx.execute("UPDATE mail SET next_attempt_at = clock_timestamp()")

    async def rows(self) -> dict[str, Row[Any]]:
        """Each mail with its state, by recipient."""
        async with self.runtime.database.transaction() as tx:
            return {row.recipient: row for row in await tx.fetch_all(f"SELECT *, {mail.STATE} AS state FROM mail")}

    async def state(self, recipient: str) -> tuple[str, int, str]:
        """State, tries, the relay's last code."""
        row = (await self.rows())[recipient]
        return row.state, row.attempt_count, row.detail


Open = Callable[..., Any]


@pytest.fixture
def opened(fresh_runtime: FreshRuntime) -> Open:
    """An office on a database of its own."""

    @asynccontextmanager
    async def make(relay: Relay | None = None, options: dict[str, Any] | None = None, **changes: Any) -> Any:
        relay = relay or Relay()
        async with (
            listening(relay, **(options or {})) as port,
            fresh_runtime("projections", **{"smtp_port": port} | changes) as runtime,
        ):
            yield Office(runtime, relay)

    return make


async def test_a_mail_is_what_another_parser_reads(opened: Open) -> None:
    """Date, an identity with the service in it, Auto-Submitted (RFC 3834), the subject letter by letter, the domain in ASCII."""
    async with opened() as office:
        await office.post("lea@étuaire.example", subject=TITLE)
        await office.sender.send_due()
        (envelope,) = office.relay.taken
        (row,) = (await office.rows()).values()
    read = parse_email(envelope.content)
    headers = {name.lower(): values for name, values in read.headers.items()}
    assert read.subject == TITLE
    assert read.text_plain[0].replace("\r\n", "\n").strip() == "Bonjour,\nà bientôt."
    assert headers["auto-submitted"] == ["auto-generated"]
    assert headers["message-id"] == [f"<{row.message_id}.projections@estuaire.example>"]
    assert parsedate_to_datetime(headers["date"][0]) == row.created_at.replace(microsecond=0)
    assert envelope.rcpt_tos == ["lea@xn--tuaire-9ua.example"] and headers["to"] == ["lea@xn--tuaire-9ua.example"]
    assert all(len(line) <= 998 and line.isascii() for line in envelope.content.decode().splitlines())
    assert (row.state, row.body) == ("delivered", "")


async def test_no_two_mails_have_one_identity(opened: Open) -> None:
    """Nor those of two services, whose rows have the same numbers; the same mail sent twice keeps its own."""
    async with opened() as one, opened() as other:
        for office in (one, other):
            await office.post("a@example.org", "b@example.org")
        rows = [*(await one.rows()).values(), *(await other.rows()).values()]
    assert len({row.id for row in rows}) == 2 and len({row.message_id for row in rows}) == 4
    texts = [built(row, sender="n@example.org", recipient="a@example.org", service="events") for row in rows]
    assert texts[0] == built(rows[0], sender="n@example.org", recipient="a@example.org", service="events")
    assert len(set(texts)) == 4


class Line:
    """What `built` reads of a row."""

    message_id, body = "1", "b"

    def __init__(self, subject: str) -> None:
        self.subject, self.created_at = subject, datetime(2026, 1, 1, tzinfo=UTC)


@given(
    st.lists(st.sampled_from(["é", "à l’été", "œuvre", "a", "Saint-Lô", "  ", "=?utf-8?q?x?=", "🎓", "«"]), max_size=60)
)
def test_no_blank_of_a_subject_is_lost(words: list[str]) -> None:
    """However long and accented, and wherever the line is folded."""
    subject = one_line(" ".join(words))
    read = parse_email(built(Line(subject), sender="n@example.org", recipient="a@example.org", service="events"))
    assert read.subject.split() == subject.split()


@pytest.mark.parametrize("bad", ["\u2028", "\u2029", "\r\nBcc: x@example.org\r\n", "\x85", "\t", "\u202e", "\x0b"])
async def test_no_character_of_a_title_stops_the_mails_behind_it(opened: Open, bad: str) -> None:
    """A title with a line separator is a title in one line; it is sent, and those behind it are."""
    async with opened() as office:
        await office.post("first@example.org", subject=f"Atelier{bad}bois")
        await office.post("second@example.org")
        await office.sender.send_due()
        assert office.relay.recipients == ["first@example.org", "second@example.org"]
        read = parse_email(office.relay.taken[0].content)
        assert " ".join(read.subject.split()).startswith("Atelier bois" if "Bcc" not in bad else "Atelier Bcc:")
        assert {name.lower() for name in read.headers}.isdisjoint({"bcc"})


@pytest.mark.parametrize("address", ["", "@example.org", "a@", "a\n@example.org", "a@exa\u2028mple.org", "a@-.example"])
async def test_a_mail_that_cannot_be_built_counts_a_try_and_stands_before_nobody(opened: Open, address: str) -> None:
    """It is no use to send it again: it has failed, at once, and the next goes out."""
    async with opened() as office:
        await office.post(address, "b@example.org")
        await office.sender.send_due()
        assert office.relay.recipients == ["b@example.org"]
        assert (await office.state(address))[:2] == ("permanent_failure", 1)


@pytest.mark.parametrize(
    ("answer", "state", "detail"),
    [
        ("550 5.1.1 no such user a@example.org", "permanent_failure", "550 5.1.1"),
        ("553 no", "permanent_failure", "553"),
        ("452 4.2.2 mailbox full", "sending", "452 4.2.2"),
        ("554 5.7.1 relay access denied", "technical_failure", "554 5.7.1"),
        ("530 authentication required", "technical_failure", "530"),
    ],
)
async def test_refusals_are_told_apart(opened: Open, answer: str, state: str, detail: str) -> None:
    """Final ones, passing ones, and those that are our own fault; only the codes are kept, the text may name the address."""
    async with opened() as office:
        office.relay.answers["a@example.org"] = answer
        await office.post("a@example.org", "b@example.org")
        await office.sender.send_due()
        assert await office.state("a@example.org") == (state, 1, detail)
        assert await office.state("b@example.org") == ("delivered", 1, "")
        assert (await office.rows())["a@example.org"].body


async def test_a_passing_refusal_is_tried_again_then_given_up(opened: Open) -> None:
    """Each try later than the one before; at the last it has failed."""
    async with opened(mail_attempt_count_max=3) as office:
        office.relay.answers["a@example.org"] = "450 4.2.1 try again"
        await office.post("a@example.org")
        waits = []
        for _ in range(5):
            await office.sender.send_due()
            async with office.runtime.database.transaction() as tx:
                row = await tx.fetch_one("SELECT next_attempt_at - clock_timestamp() AS wait FROM mail")
            waits.append(row.wait.total_seconds() if row else 0)
            await office.due_again()
        assert await office.state("a@example.org") == ("temporary_failure", 3, "450 4.2.1")
        assert waits[0] < waits[1] < waits[2]


async def test_a_relay_that_is_away_costs_no_mail_a_try(opened: Open) -> None:
    """Not reached, a sender it refuses, a login it refuses: mails wait as they are, and go out when it is back."""
    async with opened() as office:
        await office.post("a@example.org", "b@example.org")
        office.sender._settings = office.runtime.settings.model_copy(update={"smtp_port": 9})
        with pytest.raises(RelayAway):
            await office.sender.send_one()
        await office.sender.send_due()
        office.sender._settings = office.runtime.settings
        office.relay.sender_answer = "550 5.7.1 who are you"
        await office.sender.send_due()
        assert {row.state for row in (await office.rows()).values()} == {"created"}
        office.relay.sender_answer = "250 OK"
        await office.sender.send_due()
        assert {row.state for row in (await office.rows()).values()} == {"delivered"}


@pytest.mark.parametrize("answer", ["421 4.3.2 closing", "421 4.7.0 too many errors"])
async def test_a_relay_that_hangs_up_over_a_mail_sends_the_others_first(opened: Open, answer: str) -> None:
    """Nobody knows whose fault it is: it loses no try, and those behind it do not wait."""
    async with opened() as office:
        office.relay.answers["a@example.org"] = answer
        await office.post("a@example.org", "b@example.org", "c@example.org")
        await office.sender.send_due()
        assert office.relay.recipients == ["b@example.org", "c@example.org"]
        assert (await office.state("a@example.org"))[:2] == ("created", 0)


async def test_many_mails_go_over_one_connection(opened: Open) -> None:
    """And the next round opens its own."""
    async with opened() as office:
        await office.post(*(f"{number}@example.org" for number in range(20)))
        await office.sender.send_due()
        assert len(office.relay.taken) == 20 and len(office.relay.connections) == 1


async def test_a_login_is_sent_and_a_wrong_one_costs_no_mail(opened: Open) -> None:
    """The relay demands one."""

    def authenticated(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=(data.login, data.password) == (b"estuaire", b"sesame"))

    options = {"auth_required": True, "auth_require_tls": False, "authenticator": authenticated}
    login = {"smtp_username": "estuaire", "smtp_password": "sesame", "smtp_tls": "never"}
    async with opened(options=options, **login) as office:
        await office.post("a@example.org")
        await office.sender.send_due()
        assert office.relay.recipients == ["a@example.org"]
        assert "sesame" not in repr(office.runtime.settings)
    for wrong in (login | {"smtp_password": "other"}, {"smtp_tls": "never"}, login | {"smtp_tls": "starttls"}):
        async with opened(options=options, **wrong) as office:
            await office.post("a@example.org")
            await office.sender.send_due()
            assert office.relay.recipients == [] and (await office.state("a@example.org"))[:2] == ("created", 0)


async def test_a_mail_goes_out_when_it_is_committed(opened: Open) -> None:
    """Not at the next round, which is an hour away; one that is rolled back wakes nobody."""
    async with opened(mail_poll_seconds=3600) as office:
        running = asyncio.create_task(office.sender.run())
        while not office.runtime.database.after_mail:
            await asyncio.sleep(0)
        for number in range(3):
            await office.post(f"{number}@example.org")
            while len(office.relay.taken) <= number:
                await asyncio.sleep(0.01)
        await ended([running])


async def test_accents_before_the_at_need_a_relay_that_takes_them(opened: Open) -> None:
    """Refused at the form in plain words; accepted and delivered where the relay offers SMTPUTF8."""
    read = TypeAdapter(Email)
    assert read.validate_python("Lea@Étuaire.example") == "lea@étuaire.example"
    with pytest.raises(ValidationError, match="accents avant le @"):
        read.validate_python("léa@example.org")
    Addresses.utf8 = True
    try:
        assert read.validate_python("léa@example.org") == "léa@example.org"
    finally:
        Addresses.utf8 = False
    for offered in (False, True):
        async with opened(options={"enable_SMTPUTF8": offered}) as office:
            await office.post("léa@example.org", "b@example.org")
            await office.sender.send_due()
            assert office.relay.recipients == (["léa@example.org"] if offered else []) + ["b@example.org"]
            assert (await office.state("léa@example.org"))[0] == ("delivered" if offered else "permanent_failure")
    assert on_the_wire("léa@été.example") == "léa@xn--t-9fab.example"


async def test_somebody_knows(opened: Open) -> None:
    """Whoever counts on an address, the metrics, and what an earlier version wrote."""
    async with opened() as office:
        office.relay.answers |= {"gone@example.org": "550 5.1.1 no", "denied@example.org": "554 5.7.1 no"}
        office.relay.answers["full@example.org"] = "452 no"
        await office.post("gone@example.org", "denied@example.org", "full@example.org", "fine@example.org")
        await office.sender.send_due()
        database = office.runtime.database
        async with database.transaction() as tx:
            await tx.mail(message_key="old", recipient="old@example.org", subject="s", body="b")
            await tx.execute("UPDATE mail SET failed_reason = 'SMTPDataError' WHERE message_key = 'old'")
        everybody = [*(await office.rows()), None, "nobody@example.org"]
        async with database.transaction() as tx:
            assert await mail.unreached(tx, everybody) == {"gone@example.org", "denied@example.org", "old@example.org"}
        reporter = HealthReporter(
            "projections",
            database=database,
            inbox=None,
            settings=office.runtime.settings,
            metrics=office.runtime.metrics,
            topic="projections.pipeline.v1",
        )
        await reporter.report()
        value = office.runtime.metrics.registry.get_sample_value
        assert value("estuaire_mail_waiting") == 1 and (value("estuaire_mail_waiting_seconds") or 0) > 0
        assert {state: value("estuaire_mail_failed", {"state": state}) for state in mail.FAILED} == dict.fromkeys(
            mail.FAILED, 1
        )
        async with database.transaction() as tx:
            report = await tx.fetch_one("SELECT value FROM outbox WHERE record LIKE '%.ServiceHealthReported'")
        assert report is not None
        told = office.runtime.schema_ids.codec.decode(report.value).fields
        assert (told["unsent_count"], told["undelivered_count"]) == (1, 3) and told["unsent_age_seconds"] > 0
        # The address is mended: its latest mail arrives, and nobody is warned any more.
        office.relay.answers.clear()
        await office.post("gone@example.org", subject="Encore")
        await office.sender.send_due()
        async with database.transaction() as tx:
            assert "gone@example.org" not in await mail.unreached(tx, everybody)


async def test_an_operator_sees_sends_again_and_discards(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the command line: no address in the list, no text anywhere, and no mail that is over."""
    async with opened() as office:
        office.relay.answers["a@example.org"] = office.relay.answers["b@example.org"] = "550 5.1.1 no"
        await office.post("a@example.org", "b@example.org", "c@example.org")
        await office.sender.send_due()
        ids = {recipient: str(row.id) for recipient, row in (await office.rows()).items()}
        url = office.runtime.database.engine.url.render_as_string(hide_password=False)
        monkeypatch.setenv("ESTUAIRE_DATABASE_URL", url)
        monkeypatch.setenv("ESTUAIRE_SERVICE", "projections")

        async def ran(*arguments: str, status: int = 0) -> str:
            done = await asyncio.to_thread(CliRunner().invoke, estuaire, ["mails", *arguments])
            assert done.exit_code == status, done.output
            return done.output

        listed = await ran("list")
        assert listed.count("permanent_failure") == 2 and "550 5.1.1" in listed and "@" not in listed
        assert (await ran("list", "--all")).count("delivered") == 1
        shown = await ran("show", ids["a@example.org"], "-s", "projections")
        assert "a@example.org" in shown and "bientôt" not in shown
        office.relay.answers.clear()
        await ran("retry", ids["a@example.org"], "-s", "projections")
        await office.sender.send_due()
        assert (await office.state("a@example.org"))[0] == "delivered"
        await ran("discard", ids["b@example.org"], "-s", "projections")
        assert (await office.rows())["b@example.org"].body == ""
        for over in ("a@example.org", "b@example.org"):
            for verb in ("retry", "discard"):
                await ran(verb, ids[over], "-s", "projections", status=1)
        await ran("show", "999999", "-s", "projections", status=1)
        assert (await ran("list")).strip() == ""
