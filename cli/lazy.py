"""A click group that imports a command's module only when the command is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

import click


class LazyGroup(click.Group):
    """A group whose commands are registered as ``module:attribute``."""

    def __init__(self, name: str, commands: Mapping[str, str], *, help: str) -> None:  # noqa: A002 -- click's own word
        super().__init__(name=name, help=help)
        self._paths = dict(commands)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        """Return the commands in the order in which they were registered."""
        return list(self._paths)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 -- click's signature
        """Import one command."""
        if cmd_name not in self._paths:
            return None
        module, attribute = self._paths[cmd_name].split(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command, or say which ones come near."""
        from difflib import get_close_matches

        if args and args[0] not in self._paths:
            near = get_close_matches(args[0], self._paths, n=3, cutoff=0.5)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)
