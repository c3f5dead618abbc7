"""Networks that are slow, cut, or only look alive: a TCP proxy with weather, and wires to network namespaces."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from tests.faults.cells.registry import cell
from tests.faults.proxy import Proxy, Weather
from tests.faults.rig import LEDGER, PROJECTIONS, REMOTE_KAFKA, REPOSITORY, SEATS, Cell

HALF_OPEN_SECONDS = 45


@asynccontextmanager
async def _proxied(cell: Cell) -> AsyncIterator[tuple[Proxy, Proxy]]:
    """The cell runs with every service's broker and database behind a proxy each: (Kafka, PostgreSQL)."""
    rig = cell.rig
    kafka = Proxy(rig.proxied_port, rig.kafka_listeners["PROXIED"][0], seed=cell.seed)
    postgres = Proxy(rig.proxied_postgres_port, rig.settings.postgres_port, seed=cell.seed + 1)
    environment = {
        name: {
            "ESTUAIRE_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{rig.proxied_port}",
            "ESTUAIRE_DATABASE_URL": rig.postgres.url(rig.spec(name).package).replace(
                f":{rig.settings.postgres_port}/", f":{rig.proxied_postgres_port}/"
            ),
        }
        for name in (SEATS, PROJECTIONS, LEDGER)
    }
    async with kafka.running(), postgres.running(), cell.running(**environment):
        yield kafka, postgres


@cell("16", "latency of 200 ms, resets, 1 Mbit/s, slices of 7 bytes", processes=3)
async def rough_network(cell: Cell) -> None:
    """Slower, and nothing is lost: what was cut in the middle is sent and asked again."""
    cell.long_fault = True
    storms = {
        "Kafka: 200 ms ± 100, 1 % resets": ("kafka", Weather(0.2, 0.1, 0.01)),
        "Kafka: 1 Mbit/s": ("kafka", Weather(bytes_per_second=125_000)),
        "Kafka: slices of 7 bytes": ("kafka", Weather(slice_bytes=7)),
        "PostgreSQL: 10 ms ± 10, 0.3 % resets": ("postgres", Weather(0.01, 0.01, 0.003)),
        "PostgreSQL: slices of 7 bytes": ("postgres", Weather(slice_bytes=7)),
    }
    async with _proxied(cell) as (kafka, postgres):
        for name, (which, weather) in storms.items():
            proxy = kafka if which == "kafka" else postgres
            before = proxy.counts.resets, proxy.counts.bytes
            proxy.weather = weather
            await asyncio.sleep(20)
            proxy.weather = Weather()
            cell.healed(name)
            resets, carried = proxy.counts.resets - before[0], proxy.counts.bytes - before[1]
            fired = carried and bool(resets) == bool(weather.reset_ratio)
            proof = f"{carried} bytes, {resets} resets, delays up to {proxy.counts.longest_delay_seconds:.2f} s"
            cell.fired(name, proof if fired else None, count=max(1, resets))
            await cell.shown()


@cell("17", "half-open: the peer keeps its sockets and neither reads nor answers", processes=3)
async def half_open(cell: Cell) -> None:
    """Time-outs end the wait: no caller hangs for more than 30 s, and everything goes on by itself."""
    cell.long_fault = True
    async with _proxied(cell) as proxies:
        for name, proxy in zip(("Kafka", "PostgreSQL"), proxies, strict=True):
            held, unanswered = proxy.counts.held, len(cell.workload.unanswered)
            proxy.weather = Weather(half_open=True)
            await asyncio.sleep(HALF_OPEN_SECONDS)
            proxy.weather = Weather()
            cell.healed(f"{name} half-open")
            refused = len(cell.workload.unanswered) - unanswered
            proof = f"{proxy.counts.held - held} reads held back, {refused} × 503"
            cell.fired(f"{name} half-open {HALF_OPEN_SECONDS} s", proof if proxy.counts.held > held else None)
            await cell.shown()
    hung = [text for text in cell.workload.unanswered if "Timeout" in text]
    assert not hung, f"{len(hung)} callers waited for more than 30 s: {hung[:3]}"


# -- wires

# Host addresses of the broker, the databases and the rest, reached from a namespace over a wire each.
_KAFKA, _POSTGRES, _REST = REMOTE_KAFKA, "10.77.30.2", "10.77.30.3"
_NAMESPACES = {SEATS: ("estuaire-faults-seats", 31), PROJECTIONS: ("estuaire-faults-projections", 41)}


def _ip(*arguments: str, inside: str = "", check: bool = True) -> None:
    command = ["ip", *(["-n", inside] if inside else []), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not check or not result.returncode, f"{' '.join(command)}: {result.stderr}"


class Wire:
    """A pair of interfaces between the host and a namespace, over which the namespace reaches one address of the host."""

    def __init__(self, namespace: str, number: int, target: str) -> None:
        self.namespace, self.target = namespace, target
        self.near, self.far = f"ef{number}", f"fe{number}"
        self.host, self.peer = f"10.77.{number}.1", f"10.77.{number}.2"

    def lay(self) -> None:
        """Connects both ends."""
        _ip("link", "add", self.near, "type", "veth", "peer", "name", self.far, "netns", self.namespace)
        _ip("addr", "add", f"{self.host}/30", "dev", self.near)
        _ip("addr", "add", f"{self.peer}/30", "dev", self.far, inside=self.namespace)
        _ip("link", "set", self.near, "up")
        _ip("link", "set", self.far, "up", inside=self.namespace)
        self.mend("prohibited")

    def cut(self, how: str) -> None:
        """`silent`: packets vanish; `one-way`: the host's answers do; `prohibited`: the service's kernel refuses at once."""
        if how == "silent":
            _ip("link", "set", self.near, "down")
        elif how == "one-way":
            _ip("route", "add", "blackhole", f"{self.peer}/32")
        else:
            _ip("route", "replace", "prohibit", f"{self.target}/32", inside=self.namespace)

    def mend(self, how: str) -> None:
        """Takes the cut back."""
        if how == "silent":
            _ip("link", "set", self.near, "up")
        elif how == "one-way":
            _ip("route", "del", "blackhole", f"{self.peer}/32")
        else:
            _ip("route", "del", "prohibit", f"{self.target}/32", inside=self.namespace, check=False)
            _ip("route", "replace", f"{self.target}/32", "via", self.host, inside=self.namespace)

    async def probe(self) -> str:
        """What a connection from the namespace meets; a wire that works says at once that nobody listens on port 9."""
        program = f"import socket; socket.create_connection(('{self.target}', 9), 1)"
        process = await asyncio.create_subprocess_exec(
            "ip", "netns", "exec", self.namespace, sys.executable, "-c", program, stderr=asyncio.subprocess.PIPE
        )
        _, errors = await process.communicate()
        return errors.decode().strip().splitlines()[-1].partition(":")[0]


@asynccontextmanager
async def _wired(cell: Cell) -> AsyncIterator[dict[tuple[str, str], Wire]]:
    """The cell runs with the seats and the projections in a namespace each; the wires by (service, address)."""
    rig, wires = cell.rig, {}
    environment: dict[str, dict[str, str]] = {}
    async with AsyncExitStack() as stack:
        for target in (_KAFKA, _POSTGRES, _REST):
            _ip("addr", "replace", f"{target}/32", "dev", "lo")
            stack.callback(_ip, "addr", "del", f"{target}/32", "dev", "lo")
        settings = rig.settings
        broker_port = rig.remote_port
        for host, port in (
            (_KAFKA, broker_port),
            (_POSTGRES, settings.postgres_port),
            (_REST, settings.registry_port),
            (_REST, settings.issuer_port),
        ):
            await stack.enter_async_context(Proxy(port, port, host=host).running())
        for service, (namespace, number) in _NAMESPACES.items():
            _ip("netns", "del", namespace, check=False)
            _ip("netns", "add", namespace)
            stack.callback(_ip, "netns", "del", namespace)
            _ip("link", "set", "lo", "up", inside=namespace)
            for offset, target in enumerate((_KAFKA, _POSTGRES, _REST)):
                wires[service, target] = Wire(namespace, number + offset, target)
                wires[service, target].lay()
            # Tokens name the issuer by its address on loopback, so it must be found there.
            issuer = await asyncio.create_subprocess_exec(
                "ip", "netns", "exec", namespace, sys.executable, "-m", "tests.faults.proxy",
                str(settings.issuer_port), _REST, str(settings.issuer_port), cwd=REPOSITORY,
            )  # fmt: skip
            stack.callback(issuer.kill)
            rig.inside[service] = ["ip", "netns", "exec", namespace]
            rig.hosts[service] = wires[service, _REST].peer
            stack.callback(rig.inside.pop, service)
            stack.callback(rig.hosts.pop, service)
            environment[service] = {
                "ESTUAIRE_HTTP_HOST": "0.0.0.0",
                "ESTUAIRE_KAFKA_BOOTSTRAP_SERVERS": f"{_KAFKA}:{broker_port}",
                "ESTUAIRE_REGISTRY_URL": f"http://{_REST}:{settings.registry_port}/apis/ccompat/v7",
                "ESTUAIRE_DATABASE_URL": rig.postgres.url(rig.spec(service).package).replace("127.0.0.1", _POSTGRES),
            }
        cell.workload.endpoints[:] = [rig.url_of(SEATS)]
        async with cell.running(**environment):
            yield wires


@cell("15", "network cut between each pair: silent, one way, refused at once", processes=3)
async def network_cut(cell: Cell) -> None:
    """Seats and projections, each cut from the broker and from its database: everything heals by itself."""
    cell.long_fault = True
    ways = ("silent", "one-way", "prohibited")
    async with _wired(cell) as wires:
        pairs = [(pair, wire) for pair, wire in wires.items() if pair[1] != _REST]
        plan = [(pair, wire, how, 5) for how in ways for pair, wire in pairs]
        plan += [(pair, wire, cell.draw.choice(ways), 30) for pair, wire in pairs]
        plan.append((*cell.draw.choice(pairs), "silent", 120))
        for (service, target), wire, how, seconds in plan:
            fault = f"{how} cut of {service} from {'Kafka' if target == _KAFKA else 'PostgreSQL'} for {seconds} s"
            wire.cut(how)
            met = await wire.probe()
            await asyncio.sleep(seconds)
            wire.mend(how)
            cell.healed(fault)
            expected = "PermissionError" if how == "prohibited" else "TimeoutError"
            cell.fired(fault, f"a connection meets {met}" if met == expected else None)
            await cell.shown(seconds_max=90)
