"""From names and values that a person wrote to a checked, frozen options dataclass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, Protocol, TypeVar, Union, get_args, get_origin
from typing import get_type_hints as type_hints

from registry.errors import InvalidInputError, NotFoundError


class Dataclass(Protocol):
    """Any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


OptionsT = TypeVar("OptionsT", bound=Dataclass)


def build_options(cls: type[OptionsT], given: Mapping[str, object], where: str) -> OptionsT:
    """Return an options dataclass filled from names and values.

    Integers stand for floats and lists for tuples, as TOML and JSON write them.

    Args:
        cls: the dataclass; its fields are the only names allowed.
        given: names and values.
        where: what is being read, for messages, such as ``[training]``.

    Raises:
        NotFoundError: if a name is unknown; near names are listed.
        InvalidInputError: if a name is missing, a value has another type, the dataclass refuses, or
            a plug-in's options are no dataclass.
    """
    if not is_dataclass(cls):
        raise InvalidInputError(f"the options of {where} are no dataclass but {cls!r}")
    known = {field.name: field for field in fields(cls) if field.init}
    for name in given:
        if name not in known:
            raise NotFoundError.among(f"option of {where}", name, known)
    for name, field in known.items():
        if _is_required(field) and name not in given:
            raise InvalidInputError(f"{where} lacks {name!r}", hint=f"add {name} = … to {where}")
    hints = type_hints(cls)
    values = {name: _fit(value, hints[name], f"{name} of {where}") for name, value in given.items()}
    return cls(**values)


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _fit(value: object, hint: Any, what: str) -> object:
    """Return the value as the annotated type, or refuse it."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        if value is None and NoneType in arguments:
            return None
        return _fit(value, next(a for a in arguments if a is not NoneType), what)
    if origin is Literal:
        if value not in arguments:
            raise NotFoundError.among(f"value for {what}", str(value), map(str, arguments))
        return value
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_fit(item, arguments[0], what) for item in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    wanted = origin or hint
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is int):
        name = getattr(wanted, "__name__", str(wanted))
        raise InvalidInputError(f"{what} must be a {name} but is {value!r}")
    return value
