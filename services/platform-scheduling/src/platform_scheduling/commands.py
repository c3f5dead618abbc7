"""`estuaire requesters erase`."""

from __future__ import annotations

from common.person_commands import person_commands
from platform_scheduling.app import service
from platform_scheduling.personal_data import erase_requester

app = person_commands(
    service,
    people="Those who book technical platforms.",
    known_by="the structure or subject of the account, or its address",
    erase=erase_requester,
    erases="Cancels what is to come, and erases account, name, address, projects, mails and kept answers.",
    left="bookings",
)
