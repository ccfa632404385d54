"""The command ``samespace``: one group, its commands, and one place that reports errors."""

from __future__ import annotations

import sys

import click

from .lazy import LazyGroup

_COMMANDS = {
    "init": "cli.commands.init:init",
    "model": "cli.commands.model:model",
    "gallery": "cli.commands.gallery:gallery",
    "slots": "cli.commands.slots:slots",
    "train": "cli.commands.train:train",
    "policy": "cli.commands.policy:policy",
    "probe": "cli.commands.probe:probe",
    "certify": "cli.commands.certify:certify",
    "certificate": "cli.commands.certificate:certificate",
    "report": "cli.commands.report:report",
    "promote": "cli.commands.promote:promote",
    "rollback": "cli.commands.rollback:rollback",
    "status": "cli.commands.status:status",
    "lineage": "cli.commands.lineage:lineage",
    "audit": "cli.commands.audit:audit",
    "doctor": "cli.commands.doctor:doctor",
    "key": "cli.commands.key:key",
    "db": "cli.commands.db:db",
    "demo": "cli.commands.demo:demo",
}

_HELP = """Upgrade the embedding model, keep the gallery.

samespace keeps track of embedding-model versions and of the galleries that hold their vectors,
trains new versions that stay compatible with old vectors, certifies on your own data that they
do, and promotes them without embedding the gallery again.

\b
Begin with:
  samespace demo            the whole story on real data, in a few minutes
  samespace init            a registry in ./.samespace

\b
Exit codes: 0 done or COMPATIBLE, 1 INCOMPATIBLE, 2 wrong use or a failure, 3 INCONCLUSIVE,
4 no live certificate or contract, 5 somebody else changed it, 6 a digest or signature is wrong,
130 interrupted.
"""

root = LazyGroup("samespace", _COMMANDS, help=_HELP)
root.context_settings = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
click.version_option(package_name="samespace", message="%(package)s %(version)s")(root)
click.option(
    "--traceback", is_flag=True, expose_value=False, help="Show where an error came from."
)(root)


def main() -> None:
    """Run the command line and leave with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code; every error becomes one line and a hint."""
    from .reporting import report

    given = [word for word in arguments if word != "--traceback"]  # wherever it was added
    try:
        result = root.main(args=given, prog_name="samespace", standalone_mode=False)
    except BaseException as error:  # noqa: BLE001 -- the last door: everything is reported here
        return report(error, as_json="--json" in given, traceback=given != arguments)
    return result if isinstance(result, int) else 0
