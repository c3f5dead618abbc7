"""Internship offers and requests, applications, agreements, and matching campaigns."""

DEFAULT_PORT = 8001
SECTION = "Stages"
PAGES = (
    ("Stages", "case", "/stages"),
    ("Mes offres", "list", "/mes-offres"),
    ("Campagnes", "flag", "/campagnes"),
)
