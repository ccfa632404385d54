"""``samespace model``: its subcommands."""

from __future__ import annotations

from cli.lazy import LazyGroup

model = LazyGroup(
    "model",
    {
        "register": "cli.commands.model_register:register",
        "declare": "cli.commands.model_declare:declare",
        "list": "cli.commands.model_list:list_versions",
        "show": "cli.commands.model_show:show",
    },
    help="Register model versions and look at them.",
)
