"""Sends the mails that transactions stored, one recipient at a time, and keeps of each what became of it.

created → sending → delivered to the relay, or permanent_failure, temporary_failure, technical_failure, or discarded.
The states are those that GOV.UK Notify shows its users.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Collection, Iterable
from contextlib import suppress
from datetime import datetime
from email.charset import QP, Charset
from email.header import Header
from email.message import Message
from email.utils import format_datetime
from typing import Any

import aiosmtplib
import idna

from common.failures import Malformed, Unavailable, forever
from common.settings import Settings
from common.transaction import Database, Transaction

_log = logging.getLogger(__name__)
# Shorter than a transaction may be idle: a mail that was sent must not lose its mark.
_SEND_SECONDS_MAX = 6.0
# A relay that hangs up over a mail is asked again later; others go before it meanwhile.
_PUT_OFF_SECONDS = 60
_SERVICE_CLOSING = 421
# 530, 535, 538: login; class 7 of RFC 3463: the relay does not let us, whoever the recipient is.
_OUR_FAULT = re.compile(r"53[058]|\d{3} 5\.7\.")
_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
# Control characters, line separators, and what turns the direction of writing around, have no place in a header.
_NOT_IN_A_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_UTF8 = Charset("utf-8")
_UTF8.body_encoding = QP

# Reasons of other words are those of an earlier version, which gave up after its last try.
STATE = """CASE WHEN sent_at IS NOT NULL THEN 'delivered'
    WHEN failed_reason IN ('permanent_failure', 'technical_failure', 'discarded') THEN failed_reason
    WHEN failed_reason IS NOT NULL THEN 'temporary_failure'
    WHEN attempt_count > 0 THEN 'sending' ELSE 'created' END"""
WAITING = ("created", "sending")
FAILED = ("permanent_failure", "temporary_failure", "technical_failure")


class RelayAway(Unavailable):
    """The relay cannot be reached, or takes nothing from us: no mail is at fault, and none loses a try."""


class NotAnAddress(ValueError):
    """No mail can be sent there, whoever tries."""


def one_line(text: str) -> str:
    """A text as a header takes it: without line ends, controls, and what hides the order of its letters."""
    return _NOT_IN_A_LINE.sub(" ", text).strip()


def on_the_wire(address: str) -> str:
    """The address with its domain in ASCII (IDNA 2008); the part before the @ as it is. Raises `NotAnAddress`."""
    local, at, domain = address.rpartition("@")
    if not local or one_line(address) != address:
        raise NotAnAddress
    try:
        return local + at + idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        raise NotAnAddress from None


def built(row: Any, *, sender: str, recipient: str, service: str) -> bytes:
    """The mail as RFC 5322 wants it. The same row gives the same mail, so that a relay can drop a second copy."""
    message = Message()
    message.set_payload(row.body, _UTF8)
    subject = one_line(row.subject)
    message["From"] = sender
    # What looks like an encoded word is encoded too, or it would be read as one.
    plain = subject.isascii() and "=?" not in subject
    message["Subject"] = Header(subject, "us-ascii" if plain else "utf-8", header_name="Subject").encode()
    message["Date"] = format_datetime(row.created_at)
    message["Message-ID"] = f"<{row.message_id}.{service}@{sender.rpartition('@')[2]}>"
    # RFC 3834: no out-of-office notice answers it.
    message["Auto-Submitted"] = "auto-generated"
    # The one header that may be UTF-8 (RFC 6531); the library would encode it like a text.
    return (
        b"To: "
        + recipient.encode()
        + b"\r\n"
        + message.as_bytes(policy=message.policy.clone(linesep="\r\n", max_line_length=None))
    )


class MailSender:
    """Claims one due mail at a time (`SKIP LOCKED`, so replicas share the work), sends it, marks it in the same transaction."""

    def __init__(self, service: str, database: Database, settings: Settings) -> None:
        self._service = service
        self._database = database
        self._settings = settings
        self._sender = on_the_wire(settings.mail_from)
        self._relay: aiosmtplib.SMTP | None = None
        self._said_away = ""

    async def run(self) -> None:
        """Sends until cancelled."""
        woken = asyncio.Event()
        self._database.after_mail.append(woken.set)
        await forever(self.send_due, seconds=self._settings.mail_poll_seconds, woken=woken)

    async def send_due(self) -> None:
        """Sends all that is due, over one connection."""
        try:
            while await self.send_one():
                pass
            self._said_away = ""
        except RelayAway as error:
            if str(error) != self._said_away:
                _log.warning("the mail relay takes nothing (%s); mails wait", error)
            self._said_away = str(error)
        finally:
            await self._hang_up()

    async def send_one(self) -> bool:
        """Sends the next due mail; False when none is due. Raises `RelayAway`, and then nothing is counted."""
        async with self._database.transaction() as tx:
            row = await tx.fetch_one(
                """SELECT id, message_id, recipient, subject, body, attempt_count, created_at FROM mail
                   WHERE sent_at IS NULL AND failed_reason IS NULL AND next_attempt_at <= clock_timestamp()
                   ORDER BY next_attempt_at LIMIT 1 FOR UPDATE SKIP LOCKED"""
            )
            if row is None:
                return False
            try:
                await self._deliver(row)
            except RelayAway:
                raise
            except (aiosmtplib.SMTPServerDisconnected, TimeoutError, OSError) as error:
                await self._hang_up()
                await _put_off(tx, row.id)
                _log.warning("the relay hung up over mail %d (%s)", row.id, type(error).__name__)
            except Exception as error:
                # Whatever it is: the row counts a try, and never stands before others.
                state, detail = _verdict(error)
                await self._failed(tx, row, state, detail)
            else:
                await tx.execute(
                    """UPDATE mail SET sent_at = clock_timestamp(), attempt_count = attempt_count + 1, body = '', detail = ''
                       WHERE id = :id""",
                    id=row.id,
                )
        return True

    async def _deliver(self, row: Any) -> None:
        recipient = on_the_wire(row.recipient)
        content = built(row, sender=self._sender, recipient=recipient, service=self._service)
        relay = self._relay = self._relay or await self._connected()
        options = []
        if not recipient.isascii():
            if not relay.supports_extension("smtputf8"):
                raise aiosmtplib.SMTPNotSupported("SMTPUTF8")
            options = ["SMTPUTF8", "BODY=8BITMIME"]
        try:
            async with asyncio.timeout(_SEND_SECONDS_MAX):
                await relay.sendmail(self._sender, [recipient], content, mail_options=options)
        except aiosmtplib.SMTPSenderRefused as refused:
            raise RelayAway(f"it refuses our sender: {refused.code}") from None
        except (aiosmtplib.SMTPResponseException, aiosmtplib.SMTPRecipientsRefused) as refused:
            said = refused.recipients[0] if isinstance(refused, aiosmtplib.SMTPRecipientsRefused) else refused
            if said.code == _SERVICE_CLOSING:
                raise aiosmtplib.SMTPServerDisconnected("421") from None
            raise said from None

    async def _connected(self) -> aiosmtplib.SMTP:
        """Connects, secures, logs in; raises `RelayAway`."""
        given = self._settings
        relay = aiosmtplib.SMTP(
            hostname=given.smtp_host,
            port=given.smtp_port,
            username=given.smtp_username or None,
            password=given.smtp_password.get_secret_value() or None,
            use_tls=given.smtp_tls == "always",
            start_tls={"auto": None, "starttls": True}.get(given.smtp_tls, False),
            timeout=_SEND_SECONDS_MAX,
        )
        try:
            async with asyncio.timeout(_SEND_SECONDS_MAX):
                await relay.connect()
        except (aiosmtplib.SMTPException, TimeoutError, OSError) as error:
            relay.close()
            raise RelayAway(f"{type(error).__name__} {getattr(error, 'code', '')}".strip()) from None
        return relay

    async def _hang_up(self) -> None:
        relay, self._relay = self._relay, None
        if relay is not None:
            with suppress(aiosmtplib.SMTPException, TimeoutError, OSError):
                async with asyncio.timeout(1):
                    await relay.quit()
            relay.close()

    async def _failed(self, tx: Transaction, row: Any, state: str, detail: str) -> None:
        last = state != "temporary_failure" or row.attempt_count + 1 >= self._settings.mail_attempt_count_max
        await tx.execute(
            """UPDATE mail SET attempt_count = attempt_count + 1, failed_reason = :failed, detail = :detail,
                   next_attempt_at = clock_timestamp() + make_interval(secs => LEAST(3600, 5 * 2 ^ LEAST(attempt_count, 12)))
               WHERE id = :id""",
            id=row.id,
            failed=state if last else None,
            detail=detail,
        )
        _log.warning("mail %d was not accepted: %s (%s)", row.id, state if last else "it is tried again", detail)


async def _put_off(tx: Transaction, mail_id: int) -> None:
    await tx.execute(
        "UPDATE mail SET next_attempt_at = clock_timestamp() + make_interval(secs => :seconds) WHERE id = :id",
        id=mail_id,
        seconds=_PUT_OFF_SECONDS,
    )


def _verdict(error: Exception) -> tuple[str, str]:
    """What became of a mail that was not taken, and the relay's codes: its text may repeat the address."""
    if isinstance(error, aiosmtplib.SMTPResponseException):
        enhanced = _ENHANCED.search(error.message)
        detail = f"{error.code} {enhanced[0]}" if enhanced else str(error.code)
        if _OUR_FAULT.match(detail):
            return "technical_failure", detail
        return ("permanent_failure" if error.code >= 500 else "temporary_failure"), detail
    unreachable = isinstance(error, aiosmtplib.SMTPNotSupported | NotAnAddress)
    return "permanent_failure" if unreachable else "technical_failure", type(error).__name__


async def unreached(tx: Transaction, addresses: Iterable[str | None]) -> set[str]:
    """Of these addresses those whose latest mail could not be delivered: whoever counts on them has to know."""
    rows = await tx.fetch_all(
        f"""SELECT recipient FROM (SELECT DISTINCT ON (recipient) recipient, {STATE} AS state FROM mail
               WHERE recipient = ANY(:addresses) ORDER BY recipient, id DESC) AS latest WHERE state = ANY(:failed)""",
        addresses=[address for address in addresses if address],
        failed=list(FAILED),
    )
    return {row.recipient for row in rows}


def reachable(address: str | None, lost: Collection[str]) -> bool | None:
    """Whether mail gets there, as far as anybody knows; None where there is no address to write to."""
    return address not in lost if address else None


# -- what an operator does


async def listing(tx: Transaction, *, everything: bool) -> list[str]:
    """A line a mail that waits or failed, or of each; without whom it is for."""
    rows = await tx.fetch_all(
        f"""SELECT id, {STATE} AS state, attempt_count, detail, created_at, next_attempt_at FROM mail
            WHERE :everything OR (sent_at IS NULL AND failed_reason IS DISTINCT FROM 'discarded') ORDER BY id""",
        everything=everything,
    )
    return [
        f"{row.id:8}  {row.state:17}  {row.attempt_count:2} tries  {row.detail:12}  of {_minute(row.created_at)}"
        + (f", next try {_minute(row.next_attempt_at)}" if row.state in WAITING else "")
        for row in rows
    ]


async def show(tx: Transaction, mail_id: int) -> list[str]:
    """Everything about one mail but its text, which may hold a signed link."""
    row = await _mail(tx, mail_id)
    names = "id state message_key recipient subject attempt_count detail created_at next_attempt_at sent_at message_id"
    return [f"{name:16} {getattr(row, name)}" for name in names.split()]


async def retry(tx: Transaction, mail_id: int) -> str:
    """Sends it once more from its first try, at once."""
    row = await _mail(tx, mail_id)
    if row.state in ("delivered", "discarded"):
        raise Malformed("mail_is_over", f"mail {mail_id} is {row.state}: its text is gone")
    await tx.execute(
        "UPDATE mail SET failed_reason = NULL, attempt_count = 0, next_attempt_at = clock_timestamp() WHERE id = :id",
        id=mail_id,
    )
    return f"mail {mail_id} is sent again"


async def discard(tx: Transaction, mail_id: int) -> str:
    """Gives it up; its text is forgotten."""
    row = await _mail(tx, mail_id)
    if row.state in ("delivered", "discarded"):
        raise Malformed("mail_is_over", f"mail {mail_id} is {row.state}")
    await tx.execute("UPDATE mail SET failed_reason = 'discarded', body = '' WHERE id = :id", id=mail_id)
    return f"mail {mail_id} is discarded"


async def _mail(tx: Transaction, mail_id: int) -> Any:
    row = await tx.fetch_one(f"SELECT *, {STATE} AS state FROM mail WHERE id = :id FOR UPDATE", id=mail_id)
    if row is None:
        raise Malformed("no_such_mail", f"there is no mail {mail_id}; see `estuaire mails list`")
    return row


def _minute(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M")
