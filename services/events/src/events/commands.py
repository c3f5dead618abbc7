"""`estuaire registrants export|erase`."""

from __future__ import annotations

from common.person_commands import person_commands
from events.app import service
from events.personal_data import erase_address, export_address

app = person_commands(
    service,
    people="Those who register for events, ambassadors, organisers.",
    known_by="the mail address",
    erase=erase_address,
    erases="Cancels what is to come, and erases address, names, words, mails and kept answers.",
    left="registrations",
    export=export_address,
)
