"""The independent checker: reads PostgreSQL by SQL and the raw topics with its own consumer; imports nothing of ours.

`python -m tests.faults.checker world.json` prints one verdict per invariant as JSON and exits with 1 on a violation.
"""
