"""Sends the mails that transactions stored, one recipient at a time, with bounded retries."""

from __future__ import annotations

import asyncio
import logging
from email.message import EmailMessage

import aiosmtplib

from common.failures import forever
from common.settings import Settings
from common.telemetry import Metrics
from common.transaction import Database

_log = logging.getLogger(__name__)
# Shorter than a transaction may be idle: a mail that was sent must not lose its mark.
_SEND_SECONDS_MAX = 6.0


class MailSender:
    """Claims one unsent mail at a time (`SKIP LOCKED`, so replicas share the work), sends it, marks it in the same transaction."""

    def __init__(self, database: Database, settings: Settings, metrics: Metrics) -> None:
        self._database = database
        self._settings = settings
        self._metrics = metrics

    async def run(self) -> None:
        """Sends until cancelled."""
        await forever(self._send_all, seconds=self._settings.mail_poll_seconds)

    async def _send_all(self) -> None:
        while await self.send_one():
            pass
        async with self._database.transaction() as tx:
            row = await tx.fetch_one("SELECT count(*) FROM mail WHERE sent_at IS NULL AND failed_reason IS NULL")
        self._metrics.mail_waiting.set(row[0] if row else 0)

    async def send_one(self) -> bool:
        """Sends the next due mail; False when none is due."""
        async with self._database.transaction() as tx:
            row = await tx.fetch_one(
                """SELECT id, message_key, recipient, subject, body, attempt_count FROM mail
                   WHERE sent_at IS NULL AND failed_reason IS NULL AND next_attempt_at <= clock_timestamp()
                   ORDER BY next_attempt_at LIMIT 1 FOR UPDATE SKIP LOCKED"""
            )
            if row is None:
                return False
            message = EmailMessage()
            message["From"], message["To"], message["Subject"] = self._settings.mail_from, row.recipient, row.subject
            # A mail server that saw this identity before (we died between its answer and our commit) can drop it.
            message["Message-ID"] = f"<{row.id}.{self._settings.mail_from}>"
            message.set_content(row.body)
            try:
                async with asyncio.timeout(_SEND_SECONDS_MAX):
                    await aiosmtplib.send(
                        message,
                        hostname=self._settings.smtp_host,
                        port=self._settings.smtp_port,
                        start_tls=None,
                    )
            except (aiosmtplib.SMTPException, OSError, ValueError) as error:
                last = row.attempt_count + 1 >= self._settings.mail_attempt_count_max
                await tx.execute(
                    """UPDATE mail SET attempt_count = attempt_count + 1, failed_reason = :failed,
                           next_attempt_at = clock_timestamp() + make_interval(secs => LEAST(3600, 5 * 2 ^ attempt_count))
                       WHERE id = :id""",
                    id=row.id,
                    failed=type(error).__name__ if last else None,
                )
                _log.warning("mail %d was not accepted (%s)", row.id, type(error).__name__)
            else:
                await tx.execute("UPDATE mail SET sent_at = clock_timestamp(), body = '' WHERE id = :id", id=row.id)
        return True
