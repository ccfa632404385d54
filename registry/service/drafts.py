"""Files that are written first and named by a commit later, or are gone again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from ..db.session import Connection, write
from ..domain.galleries import StoredFile
from ..errors import CorruptFileError, StorageError
from ..galleries import replacement, storage
from .context import Context

ResultT = TypeVar("ResultT")


class Draft:
    """Files that no row names yet. Use `draft`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._files: list[StoredFile] = []
        self.is_commit_sent = False

    @property
    def files(self) -> tuple[StoredFile, ...]:
        """The files so far."""
        return tuple(self._files)

    def add(self, file: StoredFile) -> StoredFile:
        """Let a file be of this draft."""
        self._files.append(file)
        return file

    @contextmanager
    def naming(self) -> Iterator[Connection]:
        """Open the transaction whose commit names the files.

        Raises:
            ConflictError: if one was pruned since it was written.
        """
        for file in self._files:
            replacement.make_young(self._context.storage, file)
        with write(self._context.engine) as connection:
            yield connection
            self.is_commit_sent = True


@contextmanager
def draft(context: Context) -> Iterator[Draft]:
    """Collect files; if the block fails before COMMIT is sent, they go.

    Once it was sent they stay whatever happens, because nobody can be sure then that no row names
    them: a lost connection or an interrupt may follow a commit that took place.
    """
    made = Draft(context)
    try:
        yield made
    except BaseException:
        if not made.is_commit_sent:
            for file in made.files:
                storage.discard(context.storage, file)
        raise


@contextmanager
def write_naming(context: Context, file: StoredFile) -> Iterator[Connection]:
    """Open the transaction whose commit names one file; if it is given up, the file goes too."""
    with draft(context) as made:
        made.add(file)
        with made.naming() as connection:
            yield connection


def once_more(step: Callable[[], ResultT]) -> ResultT:
    """Read something from rows and files, and again if a file was not there.

    Between the two it may have been replaced: then the rows name another by now.
    """
    try:
        return step()
    except (CorruptFileError, StorageError):
        return step()
