import shutil
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, Engine, UniqueConstraint, func, inspect, select

from registry import Registry
from registry.db import schema
from registry.db.session import make_engine, read, write
from registry.db.tables import VERSION_TABLE, metadata
from registry.errors import (
    ConflictError,
    CorruptFileError,
    NotARegistryError,
    SamespaceError,
    SchemaVersionError,
)
from registry.service import upgrade_database

REVISIONS = [
    script.revision
    for script in reversed(list(ScriptDirectory.from_config(schema._config()).walk_revisions()))
]


def constraint_names(engine: Engine) -> set[str]:
    """Every name of a constraint or index that the database knows."""
    with engine.connect() as connection:
        found = inspect(connection)
        names: set[str | None] = set()
        for table in metadata.tables:
            names |= {c["name"] for c in found.get_check_constraints(table)}
            names |= {c["name"] for c in found.get_unique_constraints(table)}
            names |= {c["name"] for c in found.get_foreign_keys(table)}
            names |= {
                c["name"] for c in found.get_indexes(table) if not c.get("duplicates_constraint")
            }
            names.add(found.get_pk_constraint(table)["name"])
    assert None not in names, "an unnamed constraint cannot be migrated"
    return {str(name) for name in names}


def tables_of(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        return set(inspect(connection).get_table_names())


def test_there_is_one_head() -> None:
    assert len(ScriptDirectory.from_config(schema._config()).get_heads()) == 1
    assert schema.head_revision() == REVISIONS[-1]


def test_migrations_build_exactly_the_tables(engine: Engine) -> None:
    options = {
        "version_table": VERSION_TABLE,
        "compare_type": True,
        "compare_server_default": True,
    }
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []


def test_every_constraint_has_the_same_name_in_the_migrations(engine: Engine) -> None:
    tables = metadata.tables.values()
    declared = {str(item.name) for table in tables for item in table.constraints}
    declared |= {str(item.name) for table in tables for item in table.indexes}
    assert constraint_names(engine) == declared


def test_our_tables_and_our_own_version_table_and_nothing_else(engine: Engine) -> None:
    assert tables_of(engine) == {*metadata.tables, "samespace_alembic_version"}


@pytest.mark.parametrize("revision", REVISIONS)
def test_up_down_up(blank: Engine, revision: str) -> None:
    schema.upgrade(blank, revision)
    before = tables_of(blank), constraint_names(blank) if revision == REVISIONS[-1] else None
    schema.downgrade(blank, "-1")
    position = REVISIONS.index(revision)
    assert schema.current_revision(blank) == (REVISIONS[position - 1] if position else None)
    schema.upgrade(blank, revision)
    after = tables_of(blank), constraint_names(blank) if revision == REVISIONS[-1] else None
    assert after == before
    schema.downgrade(blank, "base")
    assert tables_of(blank) == {VERSION_TABLE}


def test_upgrading_twice_changes_nothing(engine: Engine) -> None:
    schema.upgrade(engine)
    schema.check(engine)
    assert schema.upgrade_existing(engine) == REVISIONS[-1]


# --- databases that this code cannot work with


def test_a_database_without_schema_is_refused(blank: Engine) -> None:
    with pytest.raises(NotARegistryError, match="holds no samespace registry") as caught:
        schema.check(blank)
    assert "samespace init" in str(caught.value.hint)
    with pytest.raises(NotARegistryError):
        schema.upgrade_existing(blank)
    assert tables_of(blank) == set()


def test_a_database_that_was_emptied_is_refused(engine: Engine) -> None:
    schema.downgrade(engine, "base")
    with pytest.raises(NotARegistryError):
        schema.check(engine)


def test_the_tables_of_another_program_are_no_registry(blank: Engine) -> None:
    with blank.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES ('mlflow1')")
    with pytest.raises(NotARegistryError):
        schema.check(blank)
    schema.upgrade(blank)
    with blank.connect() as connection:
        assert connection.exec_driver_sql("SELECT * FROM alembic_version").scalar() == "mlflow1"


def test_a_table_of_ours_that_is_taken_is_refused_in_one_line(blank: Engine) -> None:
    with blank.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE model_versions (name VARCHAR(32))")
    with pytest.raises(SamespaceError, match="model_versions"):
        schema.upgrade(blank)
    assert tables_of(blank) == {"model_versions"}


@pytest.fixture
def next_migrations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the migrations, as a later samespace would have them."""
    folder = tmp_path / "migrations"
    shutil.copytree(
        schema.migrations_folder(), folder, ignore=shutil.ignore_patterns("__pycache__")
    )
    monkeypatch.setattr(schema, "migrations_folder", lambda: folder)
    return folder


def add_migration(folder: Path, body: str) -> None:
    (folder / "versions" / "9999_next.py").write_text(
        f"""
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{REVISIONS[-1]}"
branch_labels = None
depends_on = None


def upgrade():
    {body}


def downgrade():
    pass
"""
    )


def test_an_older_database_is_refused_until_it_is_upgraded(
    engine: Engine, next_migrations: Path
) -> None:
    add_migration(next_migrations, "op.add_column('models', sa.Column('note', sa.Text()))")
    with pytest.raises(SchemaVersionError, match=f"has schema {REVISIONS[-1]}.*needs 9999") as c:
        schema.check(engine)
    assert "samespace db upgrade" in str(c.value.hint)
    assert schema.upgrade_existing(engine) == REVISIONS[-1]
    schema.check(engine)


def test_a_newer_database_is_refused(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE samespace_alembic_version SET version_num = '9998'")
    for step in (schema.check, schema.upgrade_existing):
        with pytest.raises(SchemaVersionError, match="9998, which is newer") as caught:
            step(engine)
        assert "update samespace" in str(caught.value.hint)


def test_a_registry_that_is_older_or_newer_does_not_open(home: Path, next_migrations: Path) -> None:
    add_migration(next_migrations, "op.add_column('models', sa.Column('note', sa.Text()))")
    with pytest.raises(SchemaVersionError, match="needs 9999"):
        Registry.open(home)
    assert upgrade_database(home) == (REVISIONS[-1], "9999")
    Registry.open(home).close()
    (next_migrations / "versions" / "9999_next.py").unlink()
    with pytest.raises(SchemaVersionError, match="newer"):
        Registry.open(home)
    with pytest.raises(SchemaVersionError, match="newer"):
        upgrade_database(home)


def test_upgrading_where_there_is_nothing_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotARegistryError):
        upgrade_database(tmp_path)
    with pytest.raises(NotARegistryError):
        upgrade_database(f"sqlite:///{tmp_path / 'x.db'}")
    assert list(tmp_path.iterdir()) == []


# --- migrations are all or nothing


def test_a_failing_migration_changes_nothing(engine: Engine, next_migrations: Path) -> None:
    add_migration(
        next_migrations,
        "op.drop_table('deletions'); op.execute('SELECT * FROM there_is_no_such_table')",
    )
    with pytest.raises(SamespaceError, match="there_is_no_such_table"):
        schema.upgrade(engine)
    assert schema.current_revision(engine) == REVISIONS[-1]
    assert "deletions" in tables_of(engine)


def fill(engine: Engine) -> None:
    """One row in every table, and a second version and segment."""
    seconds: dict[str, dict[str, Any]] = {
        "model_versions": {"id": 2, "number": 2, "fingerprint": "g"},
        "segments": {"id": 2, "number": 7},
    }
    with write(engine) as connection:
        for table, row in ROWS.items():
            connection.execute(metadata.tables[table].insert().values(**row))
            if table in seconds:
                more = row | seconds[table]
                connection.execute(metadata.tables[table].insert().values(**more))


def count_rows(engine: Engine) -> dict[str, int]:
    with read(engine) as connection:
        return {
            name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for name, table in metadata.tables.items()
        }


def sqlite(tmp_path: Path) -> Engine:
    engine = make_engine(f"sqlite:///{tmp_path / 'some.db'}")
    schema.upgrade(engine)
    return engine


def test_rebuilding_a_parent_table_in_batch_mode_keeps_the_children(
    tmp_path: Path, next_migrations: Path
) -> None:
    engine = sqlite(tmp_path)
    fill(engine)
    add_migration(
        next_migrations,
        "batch = op.batch_alter_table('model_versions', recreate='always')\n"
        "    with batch as b: b.add_column(sa.Column('note', sa.Text()))",
    )
    before = count_rows(engine)
    schema.upgrade(engine)
    assert count_rows(engine) == before
    with read(engine) as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    engine.dispose()


def test_a_migration_that_breaks_foreign_keys_is_taken_back(
    tmp_path: Path, next_migrations: Path
) -> None:
    engine = sqlite(tmp_path)
    fill(engine)
    add_migration(next_migrations, "op.execute('DELETE FROM galleries')")
    with pytest.raises(CorruptFileError, match="foreign keys would point nowhere"):
        schema.upgrade(engine)
    assert schema.current_revision(engine) == REVISIONS[-1]
    assert count_rows(engine)["galleries"] == 1
    with read(engine) as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    engine.dispose()


# --- every constraint refuses what it is there to refuse

AT = "2026-05-01T00:00:00.000000+00:00"
BY = {"created_at": AT, "created_by": "me"}
HASH = "0" * 64
ROWS: dict[str, dict[str, Any]] = {
    "models": {"id": 1, "name": "m", **BY},
    "model_versions": {
        "id": 1,
        "model_id": 1,
        "number": 1,
        "fingerprint": "f",
        "description": "{}",
        "artifact_path": None,
        "artifact_digest": None,
        "training": "{}",
        **BY,
    },
    "lineage": {"child_id": 2, "parent_id": 1, "relation": "r"},
    "contracts": {"query_version_id": 2, "gallery_version_id": 1, "kind": "k", "dims": 1, **BY},
    "galleries": {
        "id": 1,
        "name": "g",
        "model_id": 1,
        "metric": "cosine",
        "index_backend": "b",
        "index_factory": "f",
        "index_options": "{}",
        **BY,
    },
    "segments": {
        "id": 1,
        "gallery_id": 1,
        "number": 1,
        "version_id": 1,
        "state": "open",
        "created_at": AT,
    },
    "parts": {
        "id": 1,
        "segment_id": 1,
        "number": 1,
        "path": "p",
        "digest": HASH,
        "n_bytes": 1,
        "n_items": 1,
        "id_type": "int64",
        "created_at": AT,
    },
    "segment_indexes": {
        "segment_id": 1,
        "path": "p",
        "digest": HASH,
        "n_bytes": 1,
        "created_at": AT,
    },
    "deletions": {
        "segment_id": 1,
        "position": 0,
        "item_id": "1",
        "deleted_at": AT,
        "deleted_by": "me",
    },
    "probe_sets": {
        "id": 1,
        "name": "q",
        "gallery_id": 1,
        "kind": "labels",
        "n_queries": 1,
        "digest": HASH,
        "questions": HASH,
        "path": "p",
        "file_digest": HASH,
        "n_bytes": 1,
        **BY,
    },
    "certificates": {
        "digest": HASH,
        "gallery_id": 1,
        "query_version_id": 1,
        "gallery_version_id": 1,
        "verdict": "COMPATIBLE",
        "policy_digest": HASH,
        "evidence_path": "p",
        "evidence_digest": HASH,
        "issued_at": AT,
        "expires_at": AT,
        "body": "{}",
    },
    "simplexes": {"id": 1, "model": "m", "n_slots": 4, **BY},
    "class_slots": {
        "simplex_id": 1,
        "slot": 0,
        "supplier": "s",
        "label": "1",
        "assigned_at": AT,
        "assigned_by": "me",
    },
    "events": {
        "id": 1,
        "stream": "s",
        "sequence": 1,
        "kind": "k",
        "payload": "{}",
        "actor": "me",
        "at": AT,
        "previous_hash": HASH,
        "hash": HASH,
    },
}
# the constraint, and how a row that is otherwise new and good breaks it
VIOLATIONS: dict[str, dict[str, Any]] = {
    "pk_models": {"id": 1, "name": "n"},
    "uq_models_name": {"id": 2},
    "pk_model_versions": {"id": 1, "number": 3, "fingerprint": "h"},
    "uq_model_versions_model_id_number": {"id": 3, "fingerprint": "h"},
    "uq_model_versions_model_id_fingerprint": {"id": 3, "number": 3},
    "ck_model_versions_number_from_1": {"id": 3, "number": 0, "fingerprint": "h"},
    "ck_model_versions_artifact_has_digest": {
        "id": 3,
        "number": 3,
        "fingerprint": "h",
        "artifact_path": "p",
    },
    "fk_model_versions_model_id_models": {
        "id": 3,
        "number": 3,
        "fingerprint": "h",
        "model_id": 9,
    },
    "pk_lineage": {},
    "ck_lineage_child_after_parent": {"child_id": 1, "parent_id": 2},
    "fk_lineage_child_id_model_versions": {"child_id": 9},
    "fk_lineage_parent_id_model_versions": {"parent_id": -1},
    "pk_contracts": {},
    "ck_contracts_dims_from_1": {"query_version_id": 1, "gallery_version_id": 2, "dims": 0},
    "ck_contracts_two_versions": {"query_version_id": 1},
    "fk_contracts_query_version_id_model_versions": {"query_version_id": 9},
    "fk_contracts_gallery_version_id_model_versions": {"gallery_version_id": 9},
    "pk_galleries": {"name": "h"},
    "uq_galleries_name": {"id": 2},
    "ck_galleries_known_metric": {"id": 2, "name": "h", "metric": "hamming"},
    "fk_galleries_model_id_models": {"id": 2, "name": "h", "model_id": 9},
    "pk_segments": {"number": 2},
    "uq_segments_gallery_id_number": {"id": 3},
    "ck_segments_number_from_1": {"id": 3, "number": 0},
    "ck_segments_known_state": {"id": 3, "number": 2, "state": "ajar"},
    "fk_segments_gallery_id_galleries": {"id": 3, "gallery_id": 9},
    "fk_segments_version_id_model_versions": {"id": 3, "number": 2, "version_id": 9},
    "pk_parts": {"number": 2, "path": "q"},
    "uq_parts_path": {"id": 2, "number": 2},
    "uq_parts_segment_id_number": {"id": 2, "path": "q"},
    "ck_parts_number_from_1": {"id": 2, "number": 0, "path": "q"},
    "ck_parts_n_items_from_1": {"id": 2, "number": 2, "path": "q", "n_items": 0},
    "ck_parts_known_id_type": {"id": 2, "number": 2, "path": "q", "id_type": "uuid"},
    "fk_parts_segment_id_segments": {"id": 2, "number": 2, "path": "q", "segment_id": 9},
    "pk_segment_indexes": {"path": "q"},
    "uq_segment_indexes_path": {"segment_id": 2},
    "fk_segment_indexes_segment_id_segments": {"segment_id": 9, "path": "q"},
    "pk_deletions": {},
    "ck_deletions_position_from_0": {"position": -1},
    "fk_deletions_segment_id_segments": {"segment_id": 9},
    "pk_probe_sets": {"name": "r", "path": "q"},
    "uq_probe_sets_name": {"id": 2, "path": "q"},
    "uq_probe_sets_path": {"id": 2, "name": "r"},
    "ck_probe_sets_n_queries_from_1": {"id": 2, "name": "r", "path": "q", "n_queries": 0},
    "ck_probe_sets_known_kind": {"id": 2, "name": "r", "path": "q", "kind": "guesses"},
    "fk_probe_sets_gallery_id_galleries": {"id": 2, "name": "r", "path": "q", "gallery_id": 9},
    "pk_certificates": {},
    "ck_certificates_known_verdict": {"digest": "1", "verdict": "PERHAPS"},
    "fk_certificates_gallery_id_galleries": {"digest": "1", "gallery_id": 9},
    "fk_certificates_query_version_id_model_versions": {"digest": "1", "query_version_id": 9},
    "fk_certificates_gallery_version_id_model_versions": {"digest": "1", "gallery_version_id": 9},
    "pk_simplexes": {"model": "n"},
    "uq_simplexes_model": {"id": 2},
    "ck_simplexes_n_slots_from_2": {"id": 2, "model": "n", "n_slots": 1},
    "pk_class_slots": {"label": "2"},
    "fk_class_slots_simplex_id_simplexes": {"simplex_id": 9},
    "uq_class_slots_simplex_id_supplier_label": {"slot": 1},
    "ck_class_slots_slot_from_0": {"slot": -1, "label": "2"},
    "pk_events": {"sequence": 2, "hash": "1"},
    "uq_events_hash": {"id": 2, "sequence": 2},
    "uq_events_stream_sequence": {"id": 2, "hash": "1"},
    "ck_events_sequence_from_1": {"id": 2, "sequence": 0, "hash": "1"},
}


def test_every_constraint_is_violated_below() -> None:
    named = {str(c.name) for t in metadata.tables.values() for c in t.constraints}
    assert set(VIOLATIONS) == named


@pytest.fixture
def filled(engine: Engine) -> Engine:
    fill(engine)
    return engine


def test_every_constraint_refuses_what_breaks_it(filled: Engine) -> None:
    tables = {str(c.name): t for t in metadata.tables.values() for c in t.constraints}
    for name, change in VIOLATIONS.items():
        table = tables[name]
        with pytest.raises(ConflictError) as caught, write(filled) as connection:
            connection.execute(table.insert().values(**(ROWS[table.name] | change)))
        refusal = str(caught.value.__cause__)
        if filled.dialect.name == "postgresql" or name.startswith("ck_"):
            assert name in refusal
        elif name.startswith("fk_"):
            assert "FOREIGN KEY" in refusal, name
        else:
            columns = _columns_of(name)
            assert "UNIQUE" in refusal, name
            assert all(f"{table.name}.{column}" in refusal for column in columns), name


def _columns_of(name: str) -> list[str]:
    for table in metadata.tables.values():
        for constraint in table.constraints:
            if constraint.name == name and not isinstance(constraint, CheckConstraint):
                return [column.name for column in constraint.columns]  # type: ignore[attr-defined]
    raise AssertionError(name)


def test_no_column_may_be_empty_save_artifacts_and_signatures(filled: Engine) -> None:
    optional = {
        f"{table.name}.{column.name}"
        for table in metadata.tables.values()
        for column in table.columns
        if column.nullable
    }
    assert optional == {
        "model_versions.artifact_path",
        "model_versions.artifact_digest",
        "certificates.envelope",
        "events.signature",
    }


def test_unique_constraints_are_what_makes_two_writers_safe() -> None:
    unique = {
        str(c.name)
        for table in metadata.tables.values()
        for c in table.constraints
        if isinstance(c, UniqueConstraint)
    }
    assert {"uq_events_stream_sequence", "uq_segments_gallery_id_number"} <= unique
