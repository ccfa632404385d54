"""Catalogs: from a name to the module that implements it, built in or from an entry point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType

from .errors import (
    BackendUnavailableError,
    InvalidInputError,
    NotFoundError,
    SamespaceError,
    in_one_line,
)
from .installation import extra_hint


@dataclass(frozen=True, slots=True)
class Catalog:
    """Named implementations of one kind.

    Built-ins win over plug-ins of the same name. Nothing is imported before it is asked for.

    Attributes:
        kind: what it lists, in words for messages, such as ``index back end``.
        built_in: name to dotted module path.
        group: the entry-point group in which other distributions announce modules.
        extra: the extra to install when a built-in's dependency is missing.
        offers: what every module must hold: functions, or classes.
    """

    kind: str
    built_in: Mapping[str, str]
    group: str
    extra: str
    offers: tuple[str, ...] = ()

    def names(self) -> tuple[str, ...]:
        """Return the names that can be asked for, sorted."""
        plugged = {point.name for point in entry_points(group=self.group)}
        return tuple(sorted(plugged | set(self.built_in)))

    def load(self, name: str) -> ModuleType:
        """Import the module behind a name.

        Raises:
            NotFoundError: if nothing has that name; near names are listed.
            BackendUnavailableError: if a dependency is not installed.
            InvalidInputError: if a plug-in cannot be imported, or is no module of the right form.
        """
        if name in self.built_in:
            return self._import(name)
        for point in entry_points(group=self.group):
            if point.name == name:
                return self._plugged(point)
        raise NotFoundError.among(self.kind, name, self.names())

    def _import(self, name: str) -> ModuleType:
        try:
            return import_module(self.built_in[name])
        except ModuleNotFoundError as error:
            raise BackendUnavailableError(
                f"{self.kind} {name!r} needs {error.name}, which is not installed",
                hint=extra_hint(self.extra),
            ) from error

    def _plugged(self, point: EntryPoint) -> ModuleType:
        name = f"{self.kind} {point.name!r}"
        try:
            module = point.load()
        except SamespaceError:
            raise
        except Exception as error:
            raise InvalidInputError(
                f"{name} cannot be imported from {point.value!r}: {in_one_line(error)}",
                hint="mend or uninstall the distribution that announces it",
            ) from error
        if not isinstance(module, ModuleType):
            raise InvalidInputError(f"{name} is not a module: {point.value}")
        lacking = [what for what in self.offers if not callable(getattr(module, what, None))]
        if lacking:
            raise InvalidInputError(
                f"{name} has no {lacking[0]!r} in {point.value!r}",
                hint=f"a module of this kind holds {' and '.join(self.offers)}",
            )
        return module
