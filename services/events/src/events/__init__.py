"""Outreach events: sessions, registrations, waiting lists, check-in, ambassadors, kits."""

DEFAULT_PORT = 8003
SECTION = "Évènements"
PAGES = (
    ("Évènements", "cal", "/evenements"),
    ("Mes groupes", "user", "/mes-groupes"),
    ("Ambassadeurs", "bell", "/ambassadeurs"),
    ("Kits métiers", "wrench", "/kits"),
    ("Mes évènements", "grid", "/mes-evenements"),
)
