"""Outreach events: sessions, registrations, waiting lists, check-in, ambassadors, kits."""
