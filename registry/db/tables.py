"""The tables. Rows are facts: inserted and kept, save a segment's state.

Times are ISO 8601 text in UTC and structured values are canonical JSON text, so that what was
digested is what is stored, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

VERSION_TABLE = "samespace_alembic_version"

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

models = Table(
    "models",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(100), nullable=False, unique=True),
    Column("created_at", String(32), nullable=False),
    Column("created_by", String(200), nullable=False),
)

model_versions = Table(
    "model_versions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("model_id", ForeignKey("models.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("fingerprint", String(80), nullable=False),
    Column("description", Text, nullable=False),
    Column("artifact_path", Text),
    Column("artifact_digest", String(64)),
    Column("training", Text, nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("created_by", String(200), nullable=False),
    UniqueConstraint("model_id", "number"),
    UniqueConstraint("model_id", "fingerprint"),
    CheckConstraint("number >= 1", name="number_from_1"),
    CheckConstraint(
        "(artifact_path IS NULL) = (artifact_digest IS NULL)", name="artifact_has_digest"
    ),
)

lineage = Table(
    "lineage",
    metadata,
    Column("child_id", ForeignKey("model_versions.id"), primary_key=True),
    Column("parent_id", ForeignKey("model_versions.id"), primary_key=True),
    Column("relation", String(100), primary_key=True),
    CheckConstraint("child_id > parent_id", name="child_after_parent"),
)

contracts = Table(
    "contracts",
    metadata,
    Column("query_version_id", ForeignKey("model_versions.id"), primary_key=True),
    Column("gallery_version_id", ForeignKey("model_versions.id"), primary_key=True),
    Column("kind", String(30), nullable=False),
    Column("dims", Integer, nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("created_by", String(200), nullable=False),
    CheckConstraint("dims >= 1", name="dims_from_1"),
    CheckConstraint("query_version_id <> gallery_version_id", name="two_versions"),
)

galleries = Table(
    "galleries",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(100), nullable=False, unique=True),
    Column("model_id", ForeignKey("models.id"), nullable=False),
    Column("metric", String(20), nullable=False),
    Column("index_backend", String(100), nullable=False),
    Column("index_factory", String(200), nullable=False),
    Column("index_options", Text, nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("created_by", String(200), nullable=False),
    CheckConstraint("metric IN ('cosine', 'inner-product', 'l2')", name="known_metric"),
)

segments = Table(
    "segments",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("gallery_id", ForeignKey("galleries.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("version_id", ForeignKey("model_versions.id"), nullable=False),
    Column("state", String(10), nullable=False),
    Column("created_at", String(32), nullable=False),
    UniqueConstraint("gallery_id", "number"),
    CheckConstraint("number >= 1", name="number_from_1"),
    CheckConstraint("state IN ('open', 'sealed')", name="known_state"),
)

parts = Table(
    "parts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("segment_id", ForeignKey("segments.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("path", Text, nullable=False, unique=True),
    Column("digest", String(64), nullable=False),
    Column("n_bytes", BigInteger, nullable=False),
    Column("n_items", BigInteger, nullable=False),
    Column("id_type", String(10), nullable=False),
    Column("created_at", String(32), nullable=False),
    UniqueConstraint("segment_id", "number"),
    CheckConstraint("number >= 1", name="number_from_1"),
    CheckConstraint("n_items >= 1", name="n_items_from_1"),
    CheckConstraint("id_type IN ('int64', 'string')", name="known_id_type"),
)

segment_indexes = Table(
    "segment_indexes",
    metadata,
    Column("segment_id", ForeignKey("segments.id"), primary_key=True),
    Column("path", Text, nullable=False, unique=True),
    Column("digest", String(64), nullable=False),
    Column("n_bytes", BigInteger, nullable=False),
    Column("created_at", String(32), nullable=False),
)

deletions = Table(
    "deletions",
    metadata,
    Column("segment_id", ForeignKey("segments.id"), primary_key=True),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("item_id", Text, nullable=False),
    Column("deleted_at", String(32), nullable=False),
    Column("deleted_by", String(200), nullable=False),
    CheckConstraint("position >= 0", name="position_from_0"),
)

probe_sets = Table(
    "probe_sets",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(100), nullable=False, unique=True),
    Column("gallery_id", ForeignKey("galleries.id"), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("n_queries", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("questions", String(64), nullable=False),
    Column("path", Text, nullable=False, unique=True),
    Column("file_digest", String(64), nullable=False),
    Column("n_bytes", BigInteger, nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("created_by", String(200), nullable=False),
    CheckConstraint("n_queries >= 1", name="n_queries_from_1"),
    CheckConstraint("kind IN ('labels', 'judgements')", name="known_kind"),
)

certificates = Table(
    "certificates",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("gallery_id", ForeignKey("galleries.id"), nullable=False),
    Column("query_version_id", ForeignKey("model_versions.id"), nullable=False),
    Column("gallery_version_id", ForeignKey("model_versions.id"), nullable=False),
    Column("verdict", String(20), nullable=False),
    Column("policy_digest", String(64), nullable=False),
    Column("evidence_path", Text, nullable=False),
    Column("evidence_digest", String(64), nullable=False),
    Column("issued_at", String(32), nullable=False),
    Column("expires_at", String(32), nullable=False),
    Column("body", Text, nullable=False),
    Column("envelope", Text),  # none of a certificate that is older than signing
    CheckConstraint(
        "verdict IN ('COMPATIBLE', 'INCOMPATIBLE', 'INCONCLUSIVE')", name="known_verdict"
    ),
)
Index(None, certificates.c.gallery_id, certificates.c.query_version_id)

simplexes = Table(
    "simplexes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("model", String(100), nullable=False, unique=True),  # may have no version yet
    Column("n_slots", Integer, nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("created_by", String(200), nullable=False),
    CheckConstraint("n_slots >= 2", name="n_slots_from_2"),
)

class_slots = Table(
    "class_slots",
    metadata,
    Column("simplex_id", ForeignKey("simplexes.id"), primary_key=True),
    Column("slot", Integer, primary_key=True, autoincrement=False),
    Column("supplier", String(100), nullable=False),
    Column("label", Text, nullable=False),
    Column("assigned_at", String(32), nullable=False),
    Column("assigned_by", String(200), nullable=False),
    UniqueConstraint("simplex_id", "supplier", "label"),
    CheckConstraint("slot >= 0", name="slot_from_0"),
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("stream", String(120), nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("kind", String(40), nullable=False),
    Column("payload", Text, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("at", String(32), nullable=False),
    Column("previous_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("signature", Text),  # of the hash
    UniqueConstraint("stream", "sequence"),
    CheckConstraint("sequence >= 1", name="sequence_from_1"),
)
