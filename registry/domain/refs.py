"""Names and references: ``products@3`` is a version, ``products:champion`` an alias of one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import InvalidInputError, InvalidRefError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_REF = re.compile(r"(?P<model>[^@:]+)(?:@v?(?P<number>[0-9]+)|:(?P<alias>[^@:]+))")


def check_name(kind: str, name: str) -> str:
    """Return the name if it may be one.

    Raises:
        InvalidInputError: if it is not 1 to 100 letters, digits, dots, dashes or underscores.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInputError(
            f"{name!r} cannot name a {kind}",
            hint="use 1 to 100 letters, digits, '.', '_' or '-', beginning with a letter or digit",
        )
    return name


@dataclass(frozen=True, slots=True, order=True)
class VersionRef:
    """One immutable member of a model line, written ``model@number``."""

    model: str
    number: int

    def __str__(self) -> str:
        return f"{self.model}@{self.number}"


@dataclass(frozen=True, slots=True)
class AliasRef:
    """A movable name of a version, written ``model:alias``."""

    model: str
    alias: str

    def __str__(self) -> str:
        return f"{self.model}:{self.alias}"


def parse_ref(text: str) -> VersionRef | AliasRef:
    """Read a reference such as ``products@3``, ``products@v3`` or ``products:champion``.

    Raises:
        InvalidRefError: if the text is none of these; a bare model name names no version.
    """
    match = _REF.fullmatch(text.strip())
    if match is None or not _NAME.fullmatch(match["model"]):
        raise InvalidRefError(
            f"{text!r} does not refer to a model version",
            hint="write model@number or model:alias, as in products@3 or products:champion",
        )
    if match["alias"] is not None:
        return AliasRef(match["model"], match["alias"])
    if int(match["number"]) < 1:
        raise InvalidRefError(f"{text!r}: version numbers begin at 1")
    return VersionRef(match["model"], int(match["number"]))
