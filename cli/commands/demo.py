"""``samespace demo``."""

from __future__ import annotations

import os
from contextlib import chdir
from pathlib import Path

import click

_MARKER = ".made-by-samespace-demo"


@click.command()
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("samespace-demo"),
    show_default=True,
    help="Where the demo works; it stays for you to look around.",
)
@click.option("--again", is_flag=True, help="Replace what an earlier demo left there.")
def demo(directory: Path, again: bool) -> int:
    """Upgrade a model and keep the gallery, on real data, in a few minutes.

    Every step is a command of this program, shown before it is run. Nothing is downloaded.
    """
    from cli.demo.shell import Shell
    from cli.demo.story import tell

    for name in ("SAMESPACE_REGISTRY", "SAMESPACE_STORAGE"):
        os.environ.pop(name, None)  # the demo has a registry of its own
    _make_room(directory, again=again)
    with chdir(directory):
        tell(Shell())
    return 0


def _make_room(directory: Path, *, again: bool) -> None:
    import shutil

    from registry.errors import AlreadyExistsError

    if directory.exists() and any(directory.iterdir()):
        is_ours = (directory / _MARKER).is_file()
        if not (again and is_ours):
            hint = "--again replaces it" if is_ours else "choose another --directory"
            raise AlreadyExistsError(f"{directory} is not empty", hint=hint)
        shutil.rmtree(directory)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / _MARKER).touch()
