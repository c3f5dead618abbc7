"""Waiting lists: who is offered seats that come back, for how long, in which order; the columns that a list needs, and its rows.

An offer holds its seats and ends by itself. A party is served whole or not at all: who asks for more seats than are
free keeps its place and is passed over (decision 0013). Seats are offered until a cut-off the day before.
"""
