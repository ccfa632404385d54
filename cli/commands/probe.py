"""``samespace probe``: its subcommands."""

from __future__ import annotations

from cli.lazy import LazyGroup

probe = LazyGroup(
    "probe",
    {
        "register": "cli.commands.probe_register:register",
        "list": "cli.commands.probe_list:list_sets",
        "show": "cli.commands.probe_show:show_set",
    },
    help="Registered probe sets: questions that are kept, so that every attempt asks the same.",
)
