"""Technical platforms: catalogue, offered time, bookings, calendars."""

DEFAULT_PORT = 8002
SECTION = "Plateaux"
PAGES = (
    ("Plateaux", "wrench", "/plateaux"),
    ("Mes réservations", "cal", "/mes-reservations"),
    ("Mes plateaux", "grid", "/mes-plateaux"),
)
