"""Every error that samespace raises on purpose, each with a hint and an exit code.

A message says what was found and what was expected; the hint says what to do. The exit codes are
those of the command line and are documented in ``docs/reference/exit-codes.md``.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

EXIT_GATE_FAILED = 1
EXIT_USAGE = 2
EXIT_INCONCLUSIVE = 3
EXIT_NOT_CERTIFIED = 4
EXIT_CONFLICT = 5
EXIT_TAMPERED = 6
EXIT_INTERRUPTED = 130


class SamespaceError(Exception):
    """The base of all of samespace's errors."""

    exit_code = EXIT_USAGE
    usual_hint: str | None = None

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        """Keep the message in one line and the remedy beside it."""
        super().__init__(message)
        self.hint = hint or self.usual_hint


def in_one_line(error: BaseException) -> str:
    """Return somebody else's exception as one line: its kind and what it says."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")


# --- addressing


class NotFoundError(SamespaceError, LookupError):
    """Something was asked for by a name that nothing has."""

    @classmethod
    def among(
        cls, kind: str, name: str, known: Iterable[str], *, hint: str | None = None
    ) -> NotFoundError:
        """Say what was not found, and which known names come near."""
        names = sorted(known)
        near = get_close_matches(name, names, n=3, cutoff=0.6)
        if near:
            remedy = "did you mean " + " or ".join(repr(n) for n in near) + "?"
        elif names:
            shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
            remedy = f"known: {shown}"
        else:
            remedy = f"there is no {kind} yet"
        return cls(f"no {kind} is named {name!r}", hint=hint or remedy)


class AlreadyExistsError(SamespaceError):
    """A name is taken."""

    exit_code = EXIT_CONFLICT


class InvalidRefError(SamespaceError, ValueError):
    """A text is not a reference to a model version."""


class InvalidInputError(SamespaceError, ValueError):
    """A value that came from outside breaks a rule; nothing was changed."""


# --- state


class ConflictError(SamespaceError):
    """Somebody else changed the same thing meanwhile, or holds it now."""

    exit_code = EXIT_CONFLICT


class AliasMovedError(ConflictError):
    """The query version of a gallery is no longer the one that was expected."""


class SegmentStateError(SamespaceError):
    """A segment is sealed where an open one is needed, or the other way round."""


# --- compatibility


class SpaceMismatchError(SamespaceError, ValueError):
    """Vectors of one space came where another space is served or written."""


class DimensionMismatchError(SpaceMismatchError):
    """Vectors have another dimension than their space."""


class UndeclaredComparisonError(SamespaceError):
    """No comparison contract says how two versions may be compared."""

    exit_code = EXIT_NOT_CERTIFIED


class NotCertifiedError(SamespaceError):
    """A promotion, rollback or comparison lacks a live certificate for some ordered pair."""

    exit_code = EXIT_NOT_CERTIFIED


# --- storage


class NotARegistryError(SamespaceError):
    """A directory or database holds no samespace registry."""


class SchemaVersionError(SamespaceError):
    """The database's schema is older or newer than this code."""


class DigestMismatchError(SamespaceError):
    """Bytes are not those that were recorded."""

    exit_code = EXIT_TAMPERED


class SignatureError(SamespaceError):
    """A signature is missing where one is needed, does not fit, or is by nobody one trusts."""

    exit_code = EXIT_TAMPERED
    usual_hint = "'samespace doctor' names all that is wrong; restore it from a backup"


class CorruptFileError(SamespaceError):
    """A file cannot be read as what it should be."""

    usual_hint = "restore it from a backup, or write it again from its source"


class StorageError(SamespaceError):
    """The file system refused: no space, read only, or no permission."""


class BackendUnavailableError(SamespaceError, ImportError):
    """An optional dependency is not installed."""


class BackendError(SamespaceError):
    """A back end failed; its own exception is the cause."""
