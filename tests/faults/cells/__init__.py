"""The fault cells: each brings its faults under load, leaves a proof of each, and lets everything come to rest."""

from tests.faults.cells import lake, network, processes, records, services, stores
from tests.faults.cells.registry import CELLS

__all__ = ["CELLS", "lake", "network", "processes", "records", "services", "stores"]
