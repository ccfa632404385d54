"""Canonical JSON and SHA-256: the one way in which samespace turns a fact into bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from ..errors import InvalidInputError

Json: TypeAlias = "None | bool | int | float | str | Sequence[Json] | Mapping[str, Json]"


def canonical_json(value: Json) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, no NaN.

    Raises:
        InvalidInputError: if JSON cannot say it: a number that is NaN or infinite, an object of
            another type than JSON's, or text that is not Unicode.
    """
    try:
        text = json.dumps(
            value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
        text.encode("utf-8")
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"a value cannot be kept as JSON: {error}") from error
    return text


def sha256_text(text: str) -> str:
    """Return the SHA-256 of a text's UTF-8 bytes, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def digest_json(value: Json) -> str:
    """Return the SHA-256 of a value's canonical JSON, in hexadecimal."""
    return sha256_text(canonical_json(value))
