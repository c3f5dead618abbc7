"""Parents' cafés: three periods a year, households, waiting lists, the pass seven days before."""

DEFAULT_PORT = 8004
SECTION = "Cafés"
PAGES = (
    ("Trouver un café", "pin", "/cafes"),
    ("Ma saison", "grid", "/saison"),
    ("Lieux et animateurs", "user", "/lieux"),
)
