"""Read models and live dashboards, built from the topics only."""

DEFAULT_PORT = 8000
SECTION = "Tableaux"
PAGES = (
    ("Places", "seat", "/places"),
    ("Marché", "table", "/marche"),
    ("Usage", "clock", "/usage-plateaux"),
    ("Calendrier", "cal", "/calendrier"),
    ("Cafés", "user", "/saison-cafes"),
    ("Flux", "path", "/pipeline"),
)
