"""Generations of segments, and no more ids of items in the database.

A segment that is compacted, or of which items are erased, is written anew: its rows stay, those
of the new generation take their place. The ids that deletions kept are gone, for good: nothing
read them, and an erased item must not be named.

Revision: 0005
Follows: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_OLDER = (
    "SELECT 1 FROM segments AS newer WHERE newer.gallery_id = segments.gallery_id "
    "AND newer.number = segments.number AND newer.generation > segments.generation"
)
_CHILDREN = ("deletions", "segment_indexes", "parts")


def upgrade() -> None:
    with op.batch_alter_table("deletions", schema=None) as batch_op:
        batch_op.drop_column("item_id")
    if op.get_bind().dialect.name == "postgresql":  # write it anew, or the pages keep the ids
        op.execute("CLUSTER deletions USING pk_deletions")
        op.execute("ALTER TABLE deletions SET WITHOUT CLUSTER")
    with op.batch_alter_table("segments", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("generation", sa.Integer(), nullable=False, server_default="1")
        )
        batch_op.add_column(
            sa.Column("n_dropped", sa.BigInteger(), nullable=False, server_default="0")
        )
        batch_op.drop_constraint(op.f("uq_segments_gallery_id_number"), type_="unique")
        batch_op.create_unique_constraint(
            op.f("uq_segments_gallery_id_number_generation"),
            ["gallery_id", "number", "generation"],
        )
        batch_op.create_check_constraint(op.f("ck_segments_generation_from_1"), "generation >= 1")
        batch_op.create_check_constraint(op.f("ck_segments_n_dropped_from_0"), "n_dropped >= 0")
    with op.batch_alter_table("segments", schema=None) as batch_op:
        batch_op.alter_column("generation", server_default=None)
        batch_op.alter_column("n_dropped", server_default=None)


def downgrade() -> None:
    """Leave each segment as it is now; what it was before, and the ids of deletions, are lost."""
    for table in _CHILDREN:
        op.execute(
            f"DELETE FROM {table} WHERE segment_id IN "  # noqa: S608 -- names of our own
            f"(SELECT id FROM segments WHERE EXISTS ({_OLDER}))"
        )
    op.execute(f"DELETE FROM segments WHERE EXISTS ({_OLDER})")  # noqa: S608 -- as above
    with op.batch_alter_table("segments", schema=None) as batch_op:
        batch_op.drop_constraint(op.f("ck_segments_n_dropped_from_0"), type_="check")
        batch_op.drop_constraint(op.f("ck_segments_generation_from_1"), type_="check")
        batch_op.drop_constraint(op.f("uq_segments_gallery_id_number_generation"), type_="unique")
        batch_op.create_unique_constraint(
            op.f("uq_segments_gallery_id_number"), ["gallery_id", "number"]
        )
        batch_op.drop_column("n_dropped")
        batch_op.drop_column("generation")
    with op.batch_alter_table("deletions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("item_id", sa.Text(), nullable=False, server_default=""))
    with op.batch_alter_table("deletions", schema=None) as batch_op:
        batch_op.alter_column("item_id", server_default=None)
