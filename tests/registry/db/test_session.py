import sqlite3
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import Engine, text

from registry import Registry
from registry.db import schema
from registry.db.session import Watch, make_engine, parse_url, read, write
from registry.db.tables import metadata
from registry.errors import (
    BackendUnavailableError,
    ConflictError,
    CorruptFileError,
    InvalidInputError,
    NotARegistryError,
    SamespaceError,
    StorageError,
)
from tests.registry.db.counting import count_up

SECRET = "corr3ct-h0rse"  # noqa: S105 -- nobody's


@pytest.fixture
def counter(blank: Engine) -> Engine:
    with write(blank) as connection:
        connection.exec_driver_sql("CREATE TABLE counter (value INTEGER)")
        connection.exec_driver_sql("INSERT INTO counter VALUES (0)")
    return blank


def test_four_processes_lose_no_update(counter: Engine) -> None:
    url = counter.url.render_as_string(hide_password=False)
    context = get_context("spawn")
    workers = [context.Process(target=count_up, args=(url, 50)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0, 0]
    with read(counter) as connection:
        assert connection.exec_driver_sql("SELECT value FROM counter").scalar_one() == 200


def test_a_failing_block_leaves_no_trace(counter: Engine) -> None:
    def fail_after_writing() -> None:
        with write(counter) as connection:
            connection.exec_driver_sql("UPDATE counter SET value = 1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after_writing()
    with read(counter) as connection:
        assert connection.exec_driver_sql("SELECT value FROM counter").scalar_one() == 0


def test_a_reader_sees_one_state_from_beginning_to_end(counter: Engine) -> None:
    with read(counter) as reader:
        first = reader.exec_driver_sql("SELECT value FROM counter").scalar_one()
        with write(counter) as writer:
            writer.exec_driver_sql("UPDATE counter SET value = 5")
        again = reader.exec_driver_sql("SELECT value FROM counter").scalar_one()
    assert (first, again) == (0, 0)
    with read(counter) as reader:
        assert reader.exec_driver_sql("SELECT value FROM counter").scalar_one() == 5


def test_how_a_connection_was_read_with_does_not_stick_to_it(counter: Engine) -> None:
    for _ in range(3):
        with read(counter) as reader:
            reader.exec_driver_sql("SELECT 1")
        with write(counter) as writer:
            if counter.dialect.name == "postgresql":
                query = "SHOW transaction_isolation"
                assert writer.exec_driver_sql(query).scalar_one() == "read committed"
            else:
                assert writer.get_execution_options().get("write", True)


def test_a_watch_sees_each_commit_at_once_and_survives_an_error(counter: Engine) -> None:
    watch = Watch(counter)
    question = text("SELECT value FROM counter WHERE value >= :least")
    assert watch.ask(question, {"least": "0"}) == (0,)
    for value in (1, 2):
        with write(counter) as writer:
            writer.execute(text("UPDATE counter SET value = :v"), {"v": value})
        assert watch.ask(question, {"least": "0"}) == (value,)
    with pytest.raises(SamespaceError):
        watch.ask(text("SELECT nothing FROM nowhere"), {})
    assert watch.ask(question, {"least": "0"}) == (2,)
    watch.close()
    watch.close()


def test_a_watch_answers_several_threads(counter: Engine) -> None:
    watch = Watch(counter)
    answers: list[tuple[int, ...]] = []
    question = text("SELECT value FROM counter")
    threads = [
        Thread(target=lambda: answers.extend(watch.ask(question, {}) for _ in range(50)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [(0,)] * 200
    watch.close()


# --- the database's exceptions are mapped


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Engine]:
    """A registry on SQLite that waits 50 ms for a lock, instead of 10 s."""
    pragmas = ("journal_mode=WAL", "busy_timeout=50", "foreign_keys=ON")
    monkeypatch.setattr("registry.db.session._PRAGMAS", pragmas)
    engine = make_engine(f"sqlite:///{tmp_path / 'some.db'}")
    schema.upgrade(engine)
    yield engine
    engine.dispose()


def test_a_locked_database_is_a_conflict(impatient: Engine) -> None:
    other = sqlite3.connect(str(impatient.url.database), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with (
        pytest.raises(ConflictError, match="locked by another process") as caught,
        write(impatient),
    ):
        pass
    assert caught.value.exit_code == 5
    with read(impatient) as connection:  # readers are not kept out
        connection.exec_driver_sql("SELECT * FROM events")
    with pytest.raises(ConflictError):
        schema.downgrade(impatient, "base")
    other.rollback()
    other.close()
    with write(impatient):
        pass


def test_the_same_fact_twice_is_a_conflict(engine: Engine) -> None:
    row = {"name": "m", "created_at": "x", "created_by": "y"}
    with write(engine) as connection:
        connection.execute(metadata.tables["models"].insert().values(**row))
    with pytest.raises(ConflictError, match="someone else"), write(engine) as connection:
        connection.execute(metadata.tables["models"].insert().values(**row))


@pytest.mark.postgres
def test_a_value_that_postgres_cannot_keep_is_bad_input(postgres_url: str) -> None:
    engine = make_engine(postgres_url)
    row = {"name": "m" * 101, "created_at": "x", "created_by": "y"}
    with pytest.raises(InvalidInputError, match="cannot keep a value"), write(engine) as connection:
        connection.execute(metadata.tables["models"].insert().values(**row))
    engine.dispose()


@pytest.mark.postgres
def test_a_deadlock_is_a_conflict(postgres_url: str) -> None:
    engine = make_engine(postgres_url)
    with write(engine) as connection:
        for name in ("a", "b"):
            row = {"name": name, "created_at": "x", "created_by": "y"}
            connection.execute(metadata.tables["models"].insert().values(**row))
    lock = "SELECT id FROM models WHERE name = '{}' FOR UPDATE"
    with write(engine) as first:
        first.exec_driver_sql("SET deadlock_timeout = '10s'")
        first.exec_driver_sql(lock.format("a"))
        with pytest.raises(ConflictError, match="another process"), write(engine) as second:  # noqa: PT012
            second.exec_driver_sql("SET deadlock_timeout = '20ms'")
            second.exec_driver_sql(lock.format("b"))
            waiting = Thread(target=lambda: first.exec_driver_sql(lock.format("b")))
            waiting.start()
            second.exec_driver_sql(lock.format("a"))
        waiting.join()
    engine.dispose()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "samespace.db").write_bytes(b"SQLite format 4?" * 200)
    for step in (Registry.open, Registry.create):
        with pytest.raises(CorruptFileError, match="not a database"):
            step(tmp_path)
    assert (tmp_path / "samespace.db").read_bytes() == b"SQLite format 4?" * 200


def test_a_truncated_database_is_refused(home: Path) -> None:
    with sqlite3.connect(home / "samespace.db") as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    connection.close()
    path = home / "samespace.db"
    path.write_bytes(path.read_bytes()[: 3 * 4096])
    with pytest.raises(CorruptFileError, match="malformed"):
        Registry.open(home)


def test_an_empty_database_file_is_no_registry(tmp_path: Path) -> None:
    (tmp_path / "samespace.db").touch()
    with pytest.raises(NotARegistryError, match="db is empty"):
        Registry.open(tmp_path)
    assert [path.stat().st_size for path in tmp_path.iterdir()] == [0], "it stays as it was"


def test_a_folder_that_does_not_exist_is_no_registry(tmp_path: Path) -> None:
    with pytest.raises(NotARegistryError, match="there is no samespace registry in"):
        Registry.open(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_cannot_be_opened_is_a_storage_error(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'no' / 'such' / 'folder.db'}")
    with pytest.raises(StorageError, match="unable to open"):
        schema.current_revision(engine)


def test_a_full_disk_is_a_storage_error_and_changes_nothing(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'some.db'}")
    schema.upgrade(engine)
    with pytest.raises(StorageError, match="full"), write(engine) as connection:  # noqa: PT012
        n_pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {n_pages}")
        row = {"name": "m", "created_at": "x", "created_by": "y" * 100_000}
        connection.execute(metadata.tables["models"].insert().values(**row))
    with read(engine) as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM models").scalar_one() == 0
    engine.dispose()


def test_a_server_that_is_not_there_is_a_storage_error() -> None:
    engine = make_engine(f"postgresql://me:{SECRET}@127.0.0.1:1/x?password={SECRET}")
    with pytest.raises(StorageError, match=r"127\.0\.0\.1") as caught:
        schema.current_revision(engine)
    assert SECRET not in str(caught.value)
    engine.dispose()


# --- URLs


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:{SECRET}@host:port/x",
        f"me:{SECRET}@host//",
        f"post gresql://me:{SECRET}@host/x",
        f"://me:{SECRET}@host/x",
    ],
)
def test_a_text_that_is_no_url_is_refused_without_its_password(url: str, tmp_path: Path) -> None:
    for step in (parse_url, make_engine):
        with pytest.raises(InvalidInputError, match="is not a database URL") as caught:
            step(url)
        assert SECRET not in str(caught.value)
        assert "sqlite:///" in str(caught.value.hint)
    if "://" in url:
        with pytest.raises(InvalidInputError) as caught:
            Registry.open(url, storage=tmp_path)
        assert SECRET not in str(caught.value)


@pytest.mark.parametrize("name", ["mysql", "oracle+cx_oracle", "postgres"])
def test_another_database_is_refused(name: str) -> None:
    with pytest.raises(InvalidInputError, match="SQLite or PostgreSQL, not in") as caught:
        make_engine(f"{name}://me:{SECRET}@host/x")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("driver", ["asdf", "pg8000", "psycopg2"])
def test_a_missing_driver_says_what_to_install(driver: str) -> None:
    with pytest.raises(BackendUnavailableError, match="driver of postgresql") as caught:
        make_engine(f"postgresql+{driver}://me:{SECRET}@host/x")
    assert ".[postgres]" in str(caught.value.hint)
    assert SECRET not in str(caught.value)


def test_a_database_server_needs_a_folder_for_the_files() -> None:
    with pytest.raises(InvalidInputError, match="needs a folder") as caught:
        Registry.open(f"postgresql://me:{SECRET}@host/x")
    assert SECRET not in str(caught.value)


@pytest.mark.postgres
def test_no_message_shows_the_password(postgres_url: str, tmp_path: Path) -> None:
    url = postgres_url.replace("postgres@", f"postgres:{SECRET}@")
    with pytest.raises(SamespaceError, match="already") as caught:
        Registry.create(url, storage=tmp_path)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("name", ["what?", "50%", "a b", "c#d", "ünï", "e@f:g"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    Registry.create(tmp_path / name).close()
    assert (tmp_path / name / "samespace.db").is_file()
    Registry.open(tmp_path / name).close()
    assert [path.name for path in tmp_path.iterdir()] == [name]
