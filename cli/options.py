"""Options that several commands share, and what they open."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .output import Output

if TYPE_CHECKING:
    from registry import Registry

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

DEFAULT_REGISTRY = ".samespace"
INPUT_FILE = click.Path(path_type=Path, dir_okay=False)


@dataclass(slots=True)
class TrainingFiles:
    """Files that tell what a candidate was trained on. Filled by `training_options`.

    Attributes:
        vectors: what it was trained on, as it embeds it.
        data: the same, raw.
        ids: its ids.
        labels: its classes.
    """

    vectors: tuple[Path, ...] = ()
    data: tuple[Path, ...] = ()
    ids: Path | None = None
    labels: Path | None = None


@dataclass(slots=True)
class Session:
    """Which registry a command works on, and how it answers. Filled by `session_options`.

    Attributes:
        where: a directory, or a database URL.
        storage: folder of the files, if they are not in that directory.
        as_json: whether the answer is one JSON object.
        reports: files to write a report into, by format; filled by `report_options`.
        training: what the candidate was trained on; filled by `training_options`.
    """

    where: str = DEFAULT_REGISTRY
    storage: Path | None = None
    as_json: bool = False
    reports: dict[str, Path] = field(default_factory=dict)
    training: TrainingFiles = field(default_factory=TrainingFiles)

    @property
    def output(self) -> Output:
        """Where the result goes."""
        return Output(self.as_json)

    def open(self) -> Registry:
        """Open the registry."""
        from registry import Registry

        return Registry.open(self.where, storage=self.storage)


pass_session = click.make_pass_decorator(Session, ensure=True)


def _keep(ctx: click.Context, param: click.Parameter, value: object) -> None:
    setattr(ctx.ensure_object(Session), str(param.name), value)


_registry_option = click.option(
    "--registry",
    "where",
    envvar="SAMESPACE_REGISTRY",
    default=DEFAULT_REGISTRY,
    show_default=True,
    show_envvar=True,
    metavar="DIR|URL",
    expose_value=False,
    callback=_keep,
    help="The registry: a directory, or a database URL.",
)
_storage_option = click.option(
    "--storage",
    envvar="SAMESPACE_STORAGE",
    type=click.Path(path_type=Path, file_okay=False),
    show_envvar=True,
    expose_value=False,
    callback=_keep,
    help="Folder of the files, if the registry is in a database server.",
)
json_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    expose_value=False,
    callback=_keep,
    help="Print one JSON object on stdout.",
)


def session_options(command: CommandT) -> CommandT:
    """Add --registry, --storage and --json; `pass_session` hands them to the command."""
    return _registry_option(_storage_option(json_option(command)))


_dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Make every check, say what would happen, change nothing."
)


def dry_run_option(command: CommandT) -> CommandT:
    """Add --dry-run."""
    return _dry_run_option(command)


_trust_space_option = click.option(
    "--trust-space",
    is_flag=True,
    help="Take vectors even if they do not look like those that their version made before.",
)


def trust_space_option(command: CommandT) -> CommandT:
    """Add --trust-space."""
    return _trust_space_option(command)


def confirm(question: str, *, is_confirmed: bool) -> None:
    """Ask before something is lost; where nobody can answer, refuse instead of waiting.

    Raises:
        InvalidInputError: if standard input is no terminal and --yes was not given.
    """
    from registry.errors import InvalidInputError

    if is_confirmed:
        return
    if not sys.stdin.isatty():
        raise InvalidInputError(f"{question} – nobody is there to answer", hint="add --yes")
    click.confirm(question, abort=True, err=True)  # stdout is for the result
