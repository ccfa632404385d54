"""``samespace certificate``: its subcommands."""

from __future__ import annotations

from cli.lazy import LazyGroup

certificate = LazyGroup(
    "certificate",
    {
        "list": "cli.commands.certificate_list:list_certificates",
        "show": "cli.commands.certificate_show:show",
        "verify": "cli.commands.certificate_verify:verify",
        "replay": "cli.commands.certificate_replay:replay",
        "export": "cli.commands.certificate_export:export",
        "revoke": "cli.commands.certificate_revoke:revoke",
    },
    help="Certificates: look at them, verify, replay, export and revoke them.",
)
