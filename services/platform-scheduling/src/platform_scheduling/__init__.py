"""Technical platforms: catalogue, offered time, bookings, calendars."""
