"""Errors as people and scripts see them: one line, a hint, an exit code."""

from __future__ import annotations

import json
import sys
import traceback as trace

import click

from registry.errors import EXIT_INTERRUPTED, EXIT_USAGE, SamespaceError, in_one_line
from registry.installation import extra_hint

from .output import SCHEMA_VERSION

_EXTRAS = {"torch": "train"}


def report(error: BaseException, *, as_json: bool, traceback: bool) -> int:
    """Print an error and return the exit code that it has."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else EXIT_USAGE
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and not as_json:
        error.show()  # the help itself, on stderr
        return EXIT_USAGE
    if traceback:
        trace.print_exception(error)
    message, hint, code = _describe(error)
    if as_json:
        body = {"kind": type(error).__name__, "message": message, "hint": hint}
        print(json.dumps({"schema_version": SCHEMA_VERSION, "error": body, "exit_code": code}))
    else:
        print(f"error: {message}", file=sys.stderr)
        if hint:
            print(f"hint: {hint}", file=sys.stderr)
    return code


def _describe(error: BaseException) -> tuple[str, str | None, int]:
    if isinstance(error, SamespaceError):
        return str(error), error.hint, error.exit_code
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return "interrupted; what was committed stays", None, EXIT_INTERRUPTED
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else "samespace"
        return error.format_message(), f"{command} --help", EXIT_USAGE
    if isinstance(error, click.ClickException):
        return error.format_message(), None, EXIT_USAGE
    return (*_describe_foreign(error), EXIT_USAGE)


def _describe_foreign(error: BaseException) -> tuple[str, str | None]:
    if isinstance(error, ModuleNotFoundError) and error.name in _EXTRAS:
        hint = extra_hint(_EXTRAS[error.name])
        return f"this needs {error.name}, which is not installed", hint
    if isinstance(error, OSError):
        name = f"{error.filename}: " if error.filename else ""
        return f"{name}{error.strerror or error}", None
    return (
        in_one_line(error),
        "this is a fault of samespace: run again with --traceback and report it",
    )
