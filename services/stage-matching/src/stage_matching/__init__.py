"""Internship offers and requests, applications, agreements, and matching campaigns."""

DEFAULT_PORT = 8001
PAGES = ()
