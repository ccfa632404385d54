"""``samespace doctor``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli.options import Session, pass_session, session_options
from cli.output import count_stored, table

if TYPE_CHECKING:
    from registry import Registry

_OK = "ok"


@click.command()
@session_options
@pass_session
def doctor(session: Session) -> int:
    """Check everything and change nothing: schema, files, audit trail, models, installation.

    Every stored file, certificates' evidence too, is read and compared with its digest. Where torch
    is installed, every model of the built-in backbones embeds its canaries again.

    Exit code 2 if a check fails.
    """
    with session.open() as registry:
        checks = [
            ("installation", _installation()),
            ("audit trail", "; ".join(registry.find_tampering()) or _OK),
            *_galleries(registry),
            *_models(registry),
            *_certificates(registry),
            ("left behind", _litter(registry)),
        ]
    failed = [name for name, found in checks if not found.startswith((_OK, "skipped", "note"))]
    data = [{"check": name, "found": found, "ok": name not in failed} for name, found in checks]
    return session.output.result(
        {"checks": data, "n_failed": len(failed)},
        table("", ("check", "found"), checks),
        f"{len(failed)} of {len(checks)} checks failed" if failed else "all is well",
        exit_code=2 if failed else 0,
    )


def _installation() -> str:
    from registry.installation import find_name_clashes

    clashes = find_name_clashes()
    return "; ".join(clashes) or _OK


def _galleries(registry: Registry) -> list[tuple[str, str]]:
    from registry.errors import SamespaceError

    found = []
    for gallery in registry.galleries.list():
        try:
            n_files = registry.galleries.verify_files(gallery.name)
            found.append((f"gallery {gallery.name}", f"{_OK}: {n_files} files as recorded"))
        except SamespaceError as error:
            found.append((f"gallery {gallery.name}", str(error)))
    return found


def _models(registry: Registry) -> list[tuple[str, str]]:
    from registry.errors import SamespaceError

    found = []
    for version in registry.models.list():
        name = f"model {version.ref}"
        if version.artifact_path is None:
            found.append((name, "skipped: only its vectors are known"))
            continue
        try:
            found.append((name, _canaries(registry, str(version.ref))))
        except SamespaceError as error:
            found.append((name, str(error)))
    return found


def _certificates(registry: Registry) -> list[tuple[str, str]]:
    from registry.errors import SamespaceError

    found = []
    for gallery in registry.galleries.list():
        name = f"certificates of {gallery.name}"
        try:
            n_files = registry.certificates.verify_files(gallery.name)
            found.append((name, f"{_OK}: {n_files} with their evidence as recorded"))
        except SamespaceError as error:
            found.append((name, str(error)))
    return found


def _canaries(registry: Registry, ref: str) -> str:
    from registry.errors import BackendUnavailableError

    version = registry.models.get(ref)
    directory = registry.models.artifact_directory(version)
    if version.description.architecture.get("backbone") is None:
        return f"{_OK}: files as registered; canaries skipped, the backbone is your own"
    try:
        from compat.workflow.embedding import canary_deviation
    except (ModuleNotFoundError, BackendUnavailableError):
        return f"{_OK}: files as registered; canaries skipped, torch is not installed"
    deviation = canary_deviation(directory)
    if deviation is None:
        return f"{_OK}: files as registered; it has no canaries"
    return f"{_OK}: canaries reproduce within {deviation:.1e}"


def _litter(registry: Registry) -> str:
    litter = registry.galleries.litter()
    if not litter:
        return _OK
    found = f"{count_stored(litter)} that nothing names"
    return f"note: {found}; 'samespace gallery prune' removes them"
