"""A throw-away PostgreSQL server, started from the programs that are installed, if they are."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

_PROGRAMS = ("initdb", "postgres")
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "100",
    "lock_timeout": "60s",
}


@dataclass(frozen=True)
class Server:
    """A running server, reached by a unix socket in a folder of its own."""

    folder: Path

    def url(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?host={self.folder}"

    def run(self, statement: str, database: str = "postgres") -> None:
        """Run one statement that may not stand in a transaction."""
        import psycopg

        with psycopg.connect(
            host=str(self.folder), user="postgres", dbname=database, autocommit=True
        ) as connection:
            connection.execute(statement.encode())


def why_not() -> str | None:
    """Return why no server can be started here, or None if one can."""
    if find_spec("psycopg") is None:
        return "psycopg is not installed: pip install -e '.[postgres]'"
    if _folder_of_programs() is None:
        return "PostgreSQL's server programs (initdb, postgres) are not installed"
    if os.getuid() == 0 and shutil.which("setpriv") is None:
        return "PostgreSQL does not run as root, and setpriv is missing to be somebody else"
    return None


def _folder_of_programs() -> Path | None:
    known = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    on_path = [Path(p) for p in os.environ.get("PATH", "").split(os.pathsep)]
    for folder in (*known, *on_path):
        if all((folder / name).is_file() for name in _PROGRAMS):
            return folder
    return None


@contextmanager
def running_server() -> Iterator[Server]:
    """Make a cluster, start it, and remove it at the end."""
    programs = _folder_of_programs()
    assert programs is not None
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
    folder = Path(tempfile.mkdtemp(prefix="samespace-pg-", dir=memory))
    as_user: list[str] = []
    if os.getuid() == 0:
        user = _unprivileged_user()
        shutil.chown(folder, user)
        as_user = ["setpriv", f"--reuid={user}", "--clear-groups"]
    data = folder / "data"
    process = None
    try:
        with (folder / "log").open("wb") as log:
            options = ["--no-sync", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C"]
            subprocess.run(
                [*as_user, str(programs / "initdb"), *options, "-D", str(data)],
                check=True,
                cwd=folder,
                stdout=log,
                stderr=log,
            )
            settings = [f"--{name}={value}" for name, value in _SETTINGS.items()]
            process = subprocess.Popen(
                [
                    *as_user,
                    str(programs / "postgres"),
                    "-D",
                    str(data),
                    "-k",
                    str(folder),
                    *settings,
                ],
                cwd=folder,
                stdout=log,
                stderr=log,
            )
        server = Server(folder)
        _wait_for(server, process)
        yield server
    finally:
        if process is not None:
            process.send_signal(signal.SIGQUIT)  # at once: nothing of it is kept
            process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged_user() -> str:
    import pwd

    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)


def _wait_for(server: Server, process: subprocess.Popen[bytes]) -> None:
    import psycopg

    deadline = time.monotonic() + 30
    while True:
        try:
            server.run("SELECT 1")
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
