"""``samespace doctor``."""

from __future__ import annotations

from collections.abc import Callable
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
    """Check everything and change nothing: files, audit trail, signatures, models, installation.

    Every stored file, probe sets and certificates' evidence too, is read and compared with its
    digest. Where torch is installed, every model of the built-in backbones embeds its canaries
    again.

    Exit code 2 if a check fails.
    """
    with session.open() as registry:
        checks = [
            ("installation", _installation()),
            ("audit trail", "; ".join(registry.find_tampering()) or _OK),
            ("signatures", _signatures(registry)),
            *_each_gallery(registry, "gallery", _files),
            *_models(registry),
            *_each_gallery(registry, "probe sets of", _probe_sets),
            *_each_gallery(registry, "certificates of", _certificates),
            *_each_gallery(registry, "what serves", _served),
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


def _signatures(registry: Registry) -> str:
    from registry.errors import SamespaceError

    try:
        if not registry.integrity.is_verified:
            return "note: not verified, for you trust no key: samespace key trust FILE"
        untrusted = registry.integrity.find_untrusted()
    except SamespaceError as error:
        return str(error)
    if untrusted:
        return "; ".join(untrusted)
    n_others = registry.integrity.count_unsigned()
    others = f"; of the others {n_others} are not" if n_others else ""
    return f"{_OK}: every event that moves trust is signed by a key that you trust{others}"


def _each_gallery(
    registry: Registry, name: str, check: Callable[[Registry, str], str]
) -> list[tuple[str, str]]:
    from registry.errors import SamespaceError

    found = []
    for gallery in registry.galleries.list():
        try:
            found.append((f"{name} {gallery.name}", check(registry, gallery.name)))
        except SamespaceError as error:
            found.append((f"{name} {gallery.name}", str(error)))
    return found


def _files(registry: Registry, gallery: str) -> str:
    n_files = registry.galleries.verify_files(gallery)
    replaced = registry.integrity.find_replaced(gallery)
    return "; ".join(replaced) or f"{_OK}: {n_files} files as recorded"


def _probe_sets(registry: Registry, gallery: str) -> str:
    return f"{_OK}: {len(registry.probes.verify_all(gallery))} as registered"


def _certificates(registry: Registry, gallery: str) -> str:
    found = registry.certificates.verify_all(gallery)
    n_unsigned = sum(one.key_id is None for one in found)
    older = f"; {n_unsigned} not signed, older than signing" if n_unsigned else ""
    return f"{_OK}: {len(found)} with their evidence as recorded{older}"


def _served(registry: Registry, gallery: str) -> str:
    event = registry.integrity.check_served(gallery)
    return f"{_OK}: put in force by {event.name}, {registry.integrity.sealed(gallery)}"


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


def _canaries(registry: Registry, ref: str) -> str:
    from registry.errors import BackendUnavailableError

    version = registry.models.get(ref)
    directory = registry.models.verify_artifact(version)
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
