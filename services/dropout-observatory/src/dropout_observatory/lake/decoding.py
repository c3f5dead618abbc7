"""Records become files: decoded and made columns, by processes of their own while much is left."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from common.avro import Codec
from common.failures import Malformed, Unavailable
from dropout_observatory.lake.columns import Dataset, plain
from dropout_observatory.lake.files import Part, parts_of
from dropout_observatory.lake.ledger import Unreadable

# So many in a row that none of them is to blame: the registry is not the one that wrote them, or the contracts are old.
_UNREADABLE_RUN_MAX = 100
_OURS = "estuaire."
# Fewer are decoded sooner than a process would have them.
_SHARED_MIN = 10_000


class PlainCodec(Codec):
    """Decodes to plain values (see `columns.plain`), and with published versions of the datasets' contracts only."""

    def __init__(self, datasets: Mapping[str, Dataset]) -> None:
        super().__init__({name: plain(dataset.versions[-1]) for name, dataset in datasets.items()})
        self._datasets = datasets
        # By id: which version of which dataset wrote with it, and schemas of ours that the contracts of this process do not have.
        self.learnt: dict[int, tuple[str, int]] = {}
        self.newer: dict[int, str] = {}

    def learn(self, schema_id: int, schema: Any, *, write_as: str | None = None) -> None:
        """Makes an id known if it stands for a version of a dataset's contract; notes it if for a newer one."""
        name = f"{schema.get('namespace')}.{schema.get('name')}" if isinstance(schema, dict) else ""
        if name in self._datasets and schema in self._datasets[name].versions:
            super().learn(schema_id, plain(schema), write_as=None)
            self.learnt[schema_id] = name, self._datasets[name].versions.index(schema)
        elif name.startswith(_OURS):
            self.newer[schema_id] = name


@dataclass(frozen=True)
class Lot:
    """Records of one partition in the order of the log: offset and value."""

    topic: str
    partition: int
    records: list[tuple[int, bytes | None]]

    def pieces(self, size: int) -> Iterable[Lot]:
        """The same in lots of at most so many."""
        for first in range(0, len(self.records), size):
            yield Lot(self.topic, self.partition, self.records[first : first + size])


@dataclass
class Read:
    """What lots of records became: files, and what could not be read."""

    files: list[tuple[Part, bytes]] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)


def read(codec: Codec, datasets: Mapping[str, Dataset], lots: Iterable[Lot]) -> Read:
    """Decodes lots and makes their files; raises `Unavailable` where nothing can be read any more."""
    found = Read()
    for lot in lots:
        rows: dict[str, tuple[list[tuple[str, int, int]], list[dict[str, Any]]]] = {}
        run = 0
        for offset, value in lot.records:
            try:
                decoded = codec.decode(value)
            except Malformed as bad:
                found.unreadable.append(Unreadable(lot.topic, lot.partition, offset, value, bad.reason, bad.detail))
                run += 1
                if run > _UNREADABLE_RUN_MAX:
                    raise Unavailable(
                        f"{run} records in a row of {lot.topic}/{lot.partition} cannot be read, the last for "
                        f"{bad}: is this the registry that they were written with?"
                    ) from None
                continue
            run = 0
            places, fields = rows.setdefault(decoded.record, ([], []))
            places.append((lot.topic, lot.partition, offset))
            fields.append(decoded.fields)
        for name, (places, fields) in rows.items():
            found.files += parts_of(datasets[name], datasets[name].table(places, fields))
    return found


class Decoders:
    """Shares what is read among processes, for one core decodes much less than a broker sends; without any, a thread does it."""

    def __init__(self, datasets: Mapping[str, Dataset], count: int) -> None:
        self._datasets, self._count = datasets, count
        self._pool: ProcessPoolExecutor | None = None

    async def read(self, codec: PlainCodec, lots: Sequence[Lot]) -> Read:
        """The same as `read`; raises `Unavailable` too where a process was killed."""
        total = sum(len(lot.records) for lot in lots)
        if self._count < 2 or total < _SHARED_MIN:
            return await asyncio.to_thread(read, codec, self._datasets, lots)
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self._count, multiprocessing.get_context("spawn"), _begin, (dict(self._datasets),)
            )
        loop, found = asyncio.get_running_loop(), Read()
        try:
            for one in await asyncio.gather(
                *(
                    loop.run_in_executor(self._pool, _read_with, codec.learnt, piece)
                    for lot in lots
                    for piece in lot.pieces(ceil(total / self._count))
                )
            ):
                found.files += one.files
                found.unreadable += one.unreadable
        except BrokenProcessPool:
            self.rest()
            raise Unavailable(
                "a process that decodes for the lake was killed; the same records are read again"
            ) from None
        return found

    def rest(self) -> None:
        """Ends the processes, and gives back their memory; the next `read` that needs some starts others."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)


# -- in a process of its own

_datasets: dict[str, Dataset] = {}
_codecs: list[PlainCodec] = []


def _begin(datasets: dict[str, Dataset]) -> None:
    """Makes a process ready, which never outlives the one that writes."""
    _datasets.update(datasets)
    _codecs.append(PlainCodec(datasets))
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _read_with(learnt: Mapping[int, tuple[str, int]], lot: Lot) -> Read:
    (codec,) = _codecs
    for schema_id, (name, version) in learnt.items():
        if not codec.knows(schema_id):
            codec.learn(schema_id, _datasets[name].versions[version])
    return read(codec, _datasets, [lot])
