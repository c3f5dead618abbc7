"""`estuaire households export|erase`."""

from __future__ import annotations

from common.person_commands import person_commands
from parents_cafes.app import service
from parents_cafes.personal_data import erase_address, export_address

app = person_commands(
    service,
    people="Households, facilitators, coordinators of parents' cafés.",
    known_by="the mail address",
    erase=erase_address,
    erases="Cancels what is to come, and erases address, hash, names, mails and kept answers.",
    left="registrations",
    export=export_address,
    keyed=True,
)
