"""``samespace demo``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager, nullcontext, redirect_stdout
from pathlib import Path

import click

from cli.options import DEFAULT_REGISTRY, Session, json_option, pass_session

KEYS = ".samespace-keys"
_MARKER = ".made-by-samespace-demo"


@click.command()
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("samespace-demo"),
    show_default=True,
    help="Where the demo works; it stays for you to look around.",
)
@click.option(
    "--again", is_flag=True, help="Replace what an earlier demo made there, and nothing else."
)
@json_option
@pass_session
def demo(session: Session, directory: Path, again: bool) -> int:
    """Upgrade a model and keep the gallery, on real data, in a few minutes.

    Every step is a command of this program, shown before it is run. Nothing is downloaded. With
    --json the story goes to stderr.
    """
    from cli.demo.shell import Shell
    from cli.demo.story import tell

    left = _make_room(directory, again=again)
    if left:
        session.output.note(f"left in {directory}: {', '.join(left)}")
    with (
        _own_environment(directory),
        chdir(directory),
        redirect_stdout(sys.stderr) if session.as_json else nullcontext(),
    ):
        told = tell(Shell())
    return session.output.result(told)


@contextmanager
def _own_environment(directory: Path) -> Iterator[None]:
    """Give the demo a registry and a key ring of its own, and put the user's back afterwards."""
    from registry.keys import FOLDER_VARIABLE

    before = dict(os.environ)
    for name in ("SAMESPACE_REGISTRY", "SAMESPACE_STORAGE"):
        os.environ.pop(name, None)
    os.environ[FOLDER_VARIABLE] = str(directory.absolute() / KEYS)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _make_room(directory: Path, *, again: bool) -> list[str]:
    """Remove what an earlier demo made, and return the names of what else is there."""
    import shutil

    from cli.demo.files import CONFIGS, PARTS, REPORTS, TRAINING
    from registry.errors import AlreadyExistsError

    others: list[str] = []
    if directory.exists() and any(directory.iterdir()):
        is_ours = (directory / _MARKER).is_file()
        if not (again and is_ours):
            hint = "--again replaces it" if is_ours else "choose another --directory"
            raise AlreadyExistsError(f"{directory} is not empty", hint=hint)
        for name in (DEFAULT_REGISTRY, KEYS):
            if (directory / name).exists():
                shutil.rmtree(directory / name)
        for name in (*CONFIGS, *TRAINING, *PARTS, *REPORTS):
            (directory / name).unlink(missing_ok=True)
        others = sorted({path.name for path in directory.iterdir()} - {_MARKER})
    directory.mkdir(parents=True, exist_ok=True)
    (directory / _MARKER).touch()
    return others
