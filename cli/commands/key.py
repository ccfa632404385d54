"""``samespace key``: its subcommands."""

from __future__ import annotations

from cli.lazy import LazyGroup

key = LazyGroup(
    "key",
    {
        "create": "cli.commands.key_create:create",
        "show": "cli.commands.key_show:show",
        "list": "cli.commands.key_list:list_keys",
        "trust": "cli.commands.key_trust:trust",
    },
    help="Your signing key, and the public keys that you trust.",
)
