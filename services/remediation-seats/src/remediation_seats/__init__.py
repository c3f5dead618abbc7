"""Free places of the remediation structures, and the holds on them."""

DEFAULT_PORT = 8006
SECTION = "Remédiation"
PAGES = (
    ("Trouver", "compass", "/trouver"),
    ("Retenues", "clock", "/mes-retenues"),
    ("Mes places", "grid", "/mes-places"),
)
