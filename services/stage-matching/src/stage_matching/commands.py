"""`estuaire seekers erase`."""

from __future__ import annotations

from common.person_commands import person_commands
from stage_matching.app import service
from stage_matching.personal_data import erase_seeker

app = person_commands(
    service,
    people="People who look for an internship.",
    known_by="the subject of the account, or its address",
    erase=erase_seeker,
    erases="Withdraws what waits, and erases account, address, letters, mails and kept answers; a confirmed internship stays.",
    left="applications",
)
