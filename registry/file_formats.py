"""The formats of users' files: NumPy's, tables of Arrow, ``.csv``, and texts of one name a line.

Nothing is unpickled, and what cannot be read is one clear error.
"""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from .errors import CorruptFileError, InvalidInputError, NotFoundError, StorageError

_UNREADABLE = (
    *(OSError, ValueError, EOFError, KeyError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error, pa.ArrowException),
)
_NAMES = ("id", "label", "group")  # columns that name things
_AGAIN = "write the file again from its source"


def suffix_of(path: Path, known: tuple[str, ...]) -> str:
    """Return the suffix of a file that exists.

    Raises:
        NotFoundError: if there is no such file.
        InvalidInputError: if its suffix is not a known one.
    """
    if not path.is_file():
        raise NotFoundError(f"there is no file {path}")
    return check_suffix(path, known)


def check_suffix(path: Path, known: tuple[str, ...]) -> str:
    """Return a path's suffix in small letters.

    Raises:
        InvalidInputError: if it is not a known one.
    """
    suffix = path.suffix.lower()
    if suffix not in known:
        raise InvalidInputError(
            f"{path} has the suffix {suffix!r}", hint="use one of " + ", ".join(known)
        )
    return suffix


def _guarded(path: Path, load: Callable[[], Any]) -> Any:
    """Call a third party's reader and turn its many errors into ours."""
    try:
        return load()
    except PermissionError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error
    except _UNREADABLE as error:
        if "Python objects" in str(error) or "Object arrays" in str(error):
            raise InvalidInputError(
                f"{path} holds pickled Python objects, which are never loaded",
                hint="save plain numbers or fixed-width strings: array.astype(str)",
            ) from error
        reason, hint = _reason(path, error)
        raise CorruptFileError(f"{path} cannot be read: {reason}", hint=hint) from error


def _reason(path: Path, error: BaseException) -> tuple[str, str]:
    """Return what a third party's error means, and what to do."""
    if path.is_file() and path.stat().st_size == 0:
        return "it is empty", _AGAIN
    if "mmap length" in str(error) or str(error).startswith("EOF: reading array"):
        return "it is shorter than its header says", "copy it again, or write it again"
    return " ".join(str(error).split())[:200], _AGAIN


def load_npy(path: Path) -> Any:
    """Map the array of an ``.npy`` file; errors as `load_npz`'s."""
    return np.asarray(_guarded(path, lambda: np.lib.format.open_memmap(path, mode="r")))


def load_npz(path: Path, needed: str) -> dict[str, Any]:
    """Read the arrays of an ``.npz`` file.

    Raises:
        CorruptFileError: if it is truncated or not what its suffix says.
        InvalidInputError: if the needed array is missing, or an array holds pickled objects.
        StorageError: if it may not be read.
    """

    def load() -> dict[str, Any] | None:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                return None
            names = archive.files
            return {n: archive[n] for n in names} if needed in names else dict.fromkeys(names)

    arrays = _guarded(path, load)
    if arrays is None:
        raise CorruptFileError(f"{path} is a single array, not an archive", hint="name it .npy")
    if needed not in arrays:
        raise InvalidInputError(
            f"{path} has no array {needed!r}; it has {', '.join(sorted(arrays)) or 'none'}",
            hint=f"name it when saving: numpy.savez(file, {needed}=…)",
        )
    found: dict[str, Any] = arrays
    return found


def load_table(path: Path, suffix: str, needed: str, *optional: str) -> Any:
    """Read an Arrow table from Parquet, Arrow, Feather or ``.csv``; errors as `load_npz`'s.

    Raises:
        InvalidInputError: also if two columns have one name, or an optional one is misspelt.
    """
    readers = {".parquet": _read_parquet, ".csv": _read_csv}
    table = _guarded(path, lambda: readers.get(suffix, _read_ipc)(path))
    names = table.column_names
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise InvalidInputError(
            f"{path} has more than one column {twice[0]!r}", hint="keep one of them"
        )
    for name in (needed, *optional):
        misspelt = [n for n in names if name not in names and n.strip().lower() == name]
        if misspelt or needed not in names:
            raise InvalidInputError(
                f"{path} has no column {name!r}; it has {', '.join(names) or 'none'}",
                hint=f"name the column {name!r}" + (f", not {misspelt[0]!r}" if misspelt else ""),
            )
    return table


def load_lines(path: Path) -> list[str]:
    """Read the lines of a text; a byte order mark is none of it.

    Raises:
        CorruptFileError: if it is not UTF-8.
        InvalidInputError: if a line is empty, or begins or ends with a space.
    """
    text: str = _guarded(path, lambda: path.read_text("utf-8-sig"))
    lines = text.removesuffix("\n").split("\n") if text else []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            raise InvalidInputError(f"{path}: line {number} is empty", hint="write one id a line")
        if line != line.strip():
            raise InvalidInputError(
                f"{path}: line {number} begins or ends with a space: {line!r}",
                hint="write one id a line and nothing else; ids with such spaces can be in .npy",
            )
    return lines


def _read_parquet(path: Path) -> Any:
    """Read one file as it is: no columns from the names of its folders."""
    with pq.ParquetFile(path) as file:
        return file.read()


def _read_csv(path: Path) -> Any:
    """Read a ``.csv`` file whose names stay as they are written: 001 is not 1."""
    options = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(_NAMES, pa.string()), null_values=[""], strings_can_be_null=True
    )
    lines = pyarrow.csv.ParseOptions(ignore_empty_lines=False)  # a row has the place it has
    table = pyarrow.csv.read_csv(path, parse_options=lines, convert_options=options)
    for place, name in enumerate(table.column_names):
        if name in _NAMES:
            table = table.set_column(place, name, _as_whole(table.column(place)))
    return table


def _as_whole(column: Any) -> Any:
    """Return a column of strings as int64 if each is written as such a number is."""
    if not pc.all(pc.match_substring_regex(column, r"^(0|-?[1-9][0-9]*)$")).as_py():
        return column
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid:  # larger than int64
        return column


def _read_ipc(path: Path) -> Any:
    """Read an Arrow file, of the file format (also Feather) or the stream format."""
    with pa.memory_map(str(path), "r") as source:
        is_file = source.read(6) == b"ARROW1"
        source.seek(0)
        opened = pa.ipc.open_file(source) if is_file else pa.ipc.open_stream(source)
        return opened.read_all()
