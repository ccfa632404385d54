"""Models, galleries, certificates and the events that they are folded from.

Revision: 0001
Follows: nothing
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("stream", sa.String(length=120), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("at", sa.String(length=32), nullable=False),
        sa.Column("previous_hash", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.CheckConstraint("sequence >= 1", name=op.f("ck_events_sequence_from_1")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sa.UniqueConstraint("hash", name=op.f("uq_events_hash")),
        sa.UniqueConstraint("stream", "sequence", name=op.f("uq_events_stream_sequence")),
    )
    op.create_table(
        "models",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("created_at", sa.String(length=32), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_models")),
        sa.UniqueConstraint("name", name=op.f("uq_models_name")),
    )
    op.create_table(
        "galleries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("metric", sa.String(length=20), nullable=False),
        sa.Column("index_backend", sa.String(length=100), nullable=False),
        sa.Column("index_factory", sa.String(length=200), nullable=False),
        sa.Column("index_options", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(length=32), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.CheckConstraint(
            "metric IN ('cosine', 'inner-product', 'l2')", name=op.f("ck_galleries_known_metric")
        ),
        sa.ForeignKeyConstraint(
            ["model_id"], ["models.id"], name=op.f("fk_galleries_model_id_models")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_galleries")),
        sa.UniqueConstraint("name", name=op.f("uq_galleries_name")),
    )
    op.create_table(
        "model_versions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.String(length=80), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("artifact_path", sa.Text(), nullable=True),
        sa.Column("artifact_digest", sa.String(length=64), nullable=True),
        sa.Column("training", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(length=32), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.CheckConstraint(
            "(artifact_path IS NULL) = (artifact_digest IS NULL)",
            name=op.f("ck_model_versions_artifact_has_digest"),
        ),
        sa.CheckConstraint("number >= 1", name=op.f("ck_model_versions_number_from_1")),
        sa.ForeignKeyConstraint(
            ["model_id"], ["models.id"], name=op.f("fk_model_versions_model_id_models")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_versions")),
        sa.UniqueConstraint(
            "model_id", "fingerprint", name=op.f("uq_model_versions_model_id_fingerprint")
        ),
        sa.UniqueConstraint("model_id", "number", name=op.f("uq_model_versions_model_id_number")),
    )
    op.create_table(
        "certificates",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("gallery_id", sa.Integer(), nullable=False),
        sa.Column("query_version_id", sa.Integer(), nullable=False),
        sa.Column("gallery_version_id", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.String(length=20), nullable=False),
        sa.Column("policy_digest", sa.String(length=64), nullable=False),
        sa.Column("evidence_path", sa.Text(), nullable=False),
        sa.Column("evidence_digest", sa.String(length=64), nullable=False),
        sa.Column("issued_at", sa.String(length=32), nullable=False),
        sa.Column("expires_at", sa.String(length=32), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "verdict IN ('COMPATIBLE', 'INCOMPATIBLE', 'INCONCLUSIVE')",
            name=op.f("ck_certificates_known_verdict"),
        ),
        sa.ForeignKeyConstraint(
            ["gallery_id"], ["galleries.id"], name=op.f("fk_certificates_gallery_id_galleries")
        ),
        sa.ForeignKeyConstraint(
            ["gallery_version_id"],
            ["model_versions.id"],
            name=op.f("fk_certificates_gallery_version_id_model_versions"),
        ),
        sa.ForeignKeyConstraint(
            ["query_version_id"],
            ["model_versions.id"],
            name=op.f("fk_certificates_query_version_id_model_versions"),
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_certificates")),
    )
    with op.batch_alter_table("certificates", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_certificates_gallery_id_query_version_id"),
            ["gallery_id", "query_version_id"],
            unique=False,
        )

    op.create_table(
        "contracts",
        sa.Column("query_version_id", sa.Integer(), nullable=False),
        sa.Column("gallery_version_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("dims", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.String(length=32), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.CheckConstraint("dims >= 1", name=op.f("ck_contracts_dims_from_1")),
        sa.CheckConstraint(
            "query_version_id <> gallery_version_id", name=op.f("ck_contracts_two_versions")
        ),
        sa.ForeignKeyConstraint(
            ["gallery_version_id"],
            ["model_versions.id"],
            name=op.f("fk_contracts_gallery_version_id_model_versions"),
        ),
        sa.ForeignKeyConstraint(
            ["query_version_id"],
            ["model_versions.id"],
            name=op.f("fk_contracts_query_version_id_model_versions"),
        ),
        sa.PrimaryKeyConstraint(
            "query_version_id", "gallery_version_id", name=op.f("pk_contracts")
        ),
    )
    op.create_table(
        "lineage",
        sa.Column("child_id", sa.Integer(), nullable=False),
        sa.Column("parent_id", sa.Integer(), nullable=False),
        sa.Column("relation", sa.String(length=100), nullable=False),
        sa.CheckConstraint("child_id > parent_id", name=op.f("ck_lineage_child_after_parent")),
        sa.ForeignKeyConstraint(
            ["child_id"], ["model_versions.id"], name=op.f("fk_lineage_child_id_model_versions")
        ),
        sa.ForeignKeyConstraint(
            ["parent_id"], ["model_versions.id"], name=op.f("fk_lineage_parent_id_model_versions")
        ),
        sa.PrimaryKeyConstraint("child_id", "parent_id", "relation", name=op.f("pk_lineage")),
    )
    op.create_table(
        "segments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("gallery_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("created_at", sa.String(length=32), nullable=False),
        sa.CheckConstraint("state IN ('open', 'sealed')", name=op.f("ck_segments_known_state")),
        sa.CheckConstraint("number >= 1", name=op.f("ck_segments_number_from_1")),
        sa.ForeignKeyConstraint(
            ["gallery_id"], ["galleries.id"], name=op.f("fk_segments_gallery_id_galleries")
        ),
        sa.ForeignKeyConstraint(
            ["version_id"],
            ["model_versions.id"],
            name=op.f("fk_segments_version_id_model_versions"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_segments")),
        sa.UniqueConstraint("gallery_id", "number", name=op.f("uq_segments_gallery_id_number")),
    )
    op.create_table(
        "deletions",
        sa.Column("segment_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("deleted_at", sa.String(length=32), nullable=False),
        sa.Column("deleted_by", sa.String(length=200), nullable=False),
        sa.CheckConstraint("position >= 0", name=op.f("ck_deletions_position_from_0")),
        sa.ForeignKeyConstraint(
            ["segment_id"], ["segments.id"], name=op.f("fk_deletions_segment_id_segments")
        ),
        sa.PrimaryKeyConstraint("segment_id", "position", name=op.f("pk_deletions")),
    )
    op.create_table(
        "parts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("segment_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("n_bytes", sa.BigInteger(), nullable=False),
        sa.Column("n_items", sa.BigInteger(), nullable=False),
        sa.Column("id_type", sa.String(length=10), nullable=False),
        sa.Column("created_at", sa.String(length=32), nullable=False),
        sa.CheckConstraint("id_type IN ('int64', 'string')", name=op.f("ck_parts_known_id_type")),
        sa.CheckConstraint("n_items >= 1", name=op.f("ck_parts_n_items_from_1")),
        sa.CheckConstraint("number >= 1", name=op.f("ck_parts_number_from_1")),
        sa.ForeignKeyConstraint(
            ["segment_id"], ["segments.id"], name=op.f("fk_parts_segment_id_segments")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_parts")),
        sa.UniqueConstraint("path", name=op.f("uq_parts_path")),
        sa.UniqueConstraint("segment_id", "number", name=op.f("uq_parts_segment_id_number")),
    )
    op.create_table(
        "segment_indexes",
        sa.Column("segment_id", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("n_bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["segment_id"], ["segments.id"], name=op.f("fk_segment_indexes_segment_id_segments")
        ),
        sa.PrimaryKeyConstraint("segment_id", name=op.f("pk_segment_indexes")),
        sa.UniqueConstraint("path", name=op.f("uq_segment_indexes_path")),
    )


def downgrade() -> None:
    op.drop_table("segment_indexes")
    op.drop_table("parts")
    op.drop_table("deletions")
    op.drop_table("segments")
    op.drop_table("lineage")
    op.drop_table("contracts")
    with op.batch_alter_table("certificates", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_certificates_gallery_id_query_version_id"))

    op.drop_table("certificates")
    op.drop_table("model_versions")
    op.drop_table("galleries")
    op.drop_table("models")
    op.drop_table("events")
