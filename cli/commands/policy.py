"""``samespace policy``: its subcommands."""

from __future__ import annotations

from cli.lazy import LazyGroup

policy = LazyGroup(
    "policy",
    {
        "init": "cli.commands.policy_init:init",
        "check": "cli.commands.policy_check:check",
    },
    help="Policy files: what has to be shown before a version may be promoted.",
)
