"""Internship offers and requests, applications, agreements, and matching campaigns."""
