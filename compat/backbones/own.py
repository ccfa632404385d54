"""Networks of the user's own, named in a configuration as ``package.module:factory``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType

from torch import nn

from registry.errors import InvalidInputError, NotFoundError, SamespaceError, in_one_line


def is_own(backbone: str) -> bool:
    """Return whether a backbone's name in a configuration points to the user's own code."""
    return ":" in backbone


def import_factory(reference: str, *, directory: Path) -> Callable[..., nn.Module]:
    """Return the function or class behind ``package.module:factory``.

    The folder is put on Python's search path, knowingly: whoever names code in a configuration
    file runs it.

    Args:
        reference: module and name, as in ``my_package.models:build``.
        directory: where to look first, usually the current folder.

    Raises:
        InvalidInputError: if the reference is malformed, its module cannot be imported, or it names
            something that is not callable.
        NotFoundError: if the module or the name within it does not exist.
    """
    module_name, _, name = reference.partition(":")
    if not module_name or not name.isidentifier():
        raise InvalidInputError(
            f"{reference!r} names no backbone", hint="write package.module:factory"
        )
    folder = str(directory.resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    module = _import(module_name, reference, folder)
    found = getattr(module, name, None)
    if found is None:
        raise NotFoundError.among(f"backbone in {module_name}", name, vars(module))
    if not callable(found):
        raise InvalidInputError(f"{reference!r} is a {type(found).__name__}, not a function")
    return found  # type: ignore[no-any-return]  # what it returns is checked by its caller


def _import(module_name: str, reference: str, folder: str) -> ModuleType:
    try:
        return import_module(module_name)
    except SamespaceError:
        raise
    except ModuleNotFoundError as error:
        raise NotFoundError(
            f"{reference!r}: there is no module {error.name!r}",
            hint=f"it is looked for in {folder} and among the installed packages",
        ) from error
    except Exception as error:
        raise InvalidInputError(
            f"{reference!r} cannot be imported: {in_one_line(error)}",
            hint=f"mend what the module {module_name} says or imports",
        ) from error


def build_own(
    factory: Callable[..., nn.Module], options: Mapping[str, object], reference: str
) -> nn.Module:
    """Return the user's network, built with the options as keyword arguments.

    Raises:
        InvalidInputError: if the factory refuses the options or gives no network.
    """
    try:
        built = factory(**options)
    except TypeError as error:
        raise InvalidInputError(f"{reference!r} refuses its options: {error}") from error
    if not isinstance(built, nn.Module):
        raise InvalidInputError(f"{reference!r} gave a {type(built).__name__}, not a network")
    return built
