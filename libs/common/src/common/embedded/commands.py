"""`estuaire up, down, status, reset, token, clock`: the embedded run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from common import clock as development_clock
from common.terminal import console, database_urls, fail, run

app = typer.Typer()


@app.command()
def up(
    demonstration: Annotated[
        bool, typer.Option(help="Play the fictitious school year the first time, then a gentle live trickle.")
    ] = True,
) -> None:
    """Starts the whole system and stays until Ctrl-C."""
    from common.embedded.processes import EmbeddedError
    from common.embedded.stack import EmbeddedSettings, Stack, installed_demonstration

    began = time.monotonic()

    def say(text: str) -> None:
        console.print(f"[dim]{time.monotonic() - began:6.1f} s[/dim]  {text}")

    # SIGTERM (`estuaire down`) ends like Ctrl-C; and Ctrl-C ends it also where a script's background job ignores it.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    settings = EmbeddedSettings()
    stack = Stack(settings, say=say)
    try:
        entry = installed_demonstration() if demonstration else None
        player = entry.load()(stack, say) if entry is not None else None
        if player is not None:
            player.write_personas()
        stack.start()
        if player is not None:
            player.play_history()
        _announce(stack, began)
        while True:
            if player is not None:
                player.trickle()
            else:
                time.sleep(1)
            stack.heal()
    except KeyboardInterrupt:
        console.print("\nstopping")
    except EmbeddedError as error:
        raise fail(str(error)) from None
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        stack.stop()
    console.print("stopped; the data stay in " + str(settings.home))


def _announce(stack: Any, began: float) -> None:
    settings = stack.settings
    console.print(f"\n[bold green]ready[/bold green] in {time.monotonic() - began:.0f} s\n")
    for service in stack.services:
        console.print(f"  {service.name:20} http://127.0.0.1:{service.port(settings)}")
    for process in stack.processes():
        console.print(f"  {process.full_name:20} {stack.files_of(process)}")
    console.print(f"  {'caught mail':20} http://127.0.0.1:{settings.mail_port}")
    console.print(f"  {'Kafka':20} {stack.bootstrap_servers}      registry http://127.0.0.1:{settings.registry_port}")
    personas = _personas(settings.home)
    if personas:
        console.print("\n  personas, for `.venv/bin/estuaire token <name>`:")
        for key in list(personas)[:8]:
            console.print(f"    {key:24} {personas[key]['label']}")
        if len(personas) > 8:
            console.print(f"    … and {len(personas) - 8} more in {settings.home / 'personas.json'}")
    console.print("\n  Ctrl-C stops everything and keeps the data.\n")


def _personas(home: Path) -> dict[str, dict[str, Any]]:
    path = home / "personas.json"
    personas: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.exists() else {}
    return personas


def _running_pid(home: Path) -> int | None:
    """The process that holds the data directory's lock, if one does."""
    import fcntl

    with suppress(OSError), (home / "run" / "lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return int((home / "run" / "pid").read_text())
    return None


@app.command()
def down() -> None:
    """Stops a system that runs in another terminal."""
    from common.embedded.stack import EmbeddedSettings

    home = EmbeddedSettings().home
    pid = _running_pid(home)
    if pid is None:
        console.print("nothing runs")
        return
    os.kill(pid, signal.SIGTERM)
    for _ in range(600):
        if _running_pid(home) is None:
            console.print("stopped")
            return
        time.sleep(0.1)
    raise fail(f"process {pid} did not stop in 60 s; see {home / 'logs'}")


@app.command()
def status() -> None:
    """Says what runs, and how each service feels."""
    import httpx

    from common.embedded.stack import EmbeddedSettings, installed_services

    settings = EmbeddedSettings()
    console.print(f"data in {settings.home}; " + ("running" if _running_pid(settings.home) else "not running"))
    unwell = False
    ports = {service.name: service.port(settings) for service in installed_services()}
    ports |= {
        process.full_name: process.port(settings) for service in installed_services() for process in service.processes
    }
    for name, port in ports.items():
        url = f"http://127.0.0.1:{port}"
        try:
            answer = httpx.get(f"{url}/readyz", timeout=3)
            word = "ready" if answer.status_code == 200 else f"not ready: {answer.json().get('detail')}"
        except httpx.HTTPError as error:
            word = f"does not answer ({type(error).__name__})"
        unwell |= word != "ready"
        console.print(f"  {name:24} {url}  {word}")
    if unwell:
        raise typer.Exit(1)


@app.command()
def reset(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Empties the data directory."""
    from common.embedded.stack import EmbeddedSettings

    home = EmbeddedSettings().home
    if _running_pid(home) is not None:
        raise fail("the system is running; stop it first with `make down`")
    if not (home / "run").exists():
        console.print(f"{home} holds no data")
        return
    if not yes:
        typer.confirm(f"Delete everything in {home}?", abort=True)
    # The unpacked parts are not data, and take a minute to make again.
    for path in home.iterdir():
        if path.name != "parts":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    console.print(f"{home} is empty")


@app.command()
def token(persona: Annotated[str, typer.Argument(help="A persona's name; without it they are listed.")] = "") -> None:
    """Prints an access token of the development issuer."""
    import httpx

    from common.embedded.stack import EmbeddedSettings

    settings = EmbeddedSettings()
    personas = _personas(settings.home)
    if persona not in personas:
        for key, known in personas.items():
            print(f"{key:28} {known['label']}", file=sys.stderr)
        raise fail(
            "name one of these personas" if personas else "no persona yet: start the system with `make run` first"
        )
    try:
        answer = httpx.post(
            f"http://127.0.0.1:{settings.issuer_port}/token",
            data={"grant_type": "client_credentials", "client_id": persona},
            timeout=5,
        )
    except httpx.HTTPError:
        raise fail("the development issuer does not answer; start the system with `make run`") from None
    print(answer.json()["access_token"])


@app.command()
def clock(
    to: Annotated[
        str, typer.Argument(help="now, +3d, -300d, +6h, or 2027-02-05T09:00 (Paris); without it, says what time it is.")
    ] = "",
) -> None:
    """Development only: shows or sets the clock that the rules see."""

    async def work() -> None:
        urls = list(database_urls().values())
        current = await development_clock.read(urls[0])
        if to:
            offset = 0.0 if to == "now" else development_clock.offset_for(to, current)
            await development_clock.write(urls, offset)
            current = await development_clock.read(urls[0])
        console.print(
            f"{current.now.astimezone(ZoneInfo('Europe/Paris')):%A %d %B %Y %H:%M:%S} (offset {current.offset_seconds / 86400:+.2f} days)"
        )

    run(work())
