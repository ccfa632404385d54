"""Class slots: who owns which vertex of a model line's simplex.

Revision: 0002
Follows: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "simplexes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(length=100), nullable=False),
        sa.Column("n_slots", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.String(length=32), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.CheckConstraint("n_slots >= 2", name=op.f("ck_simplexes_n_slots_from_2")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_simplexes")),
        sa.UniqueConstraint("model", name=op.f("uq_simplexes_model")),
    )
    op.create_table(
        "class_slots",
        sa.Column("simplex_id", sa.Integer(), nullable=False),
        sa.Column("slot", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("supplier", sa.String(length=100), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("assigned_at", sa.String(length=32), nullable=False),
        sa.Column("assigned_by", sa.String(length=200), nullable=False),
        sa.CheckConstraint("slot >= 0", name=op.f("ck_class_slots_slot_from_0")),
        sa.ForeignKeyConstraint(
            ["simplex_id"], ["simplexes.id"], name=op.f("fk_class_slots_simplex_id_simplexes")
        ),
        sa.PrimaryKeyConstraint("simplex_id", "slot", name=op.f("pk_class_slots")),
        sa.UniqueConstraint(
            "simplex_id",
            "supplier",
            "label",
            name=op.f("uq_class_slots_simplex_id_supplier_label"),
        ),
    )


def downgrade() -> None:
    op.drop_table("class_slots")
    op.drop_table("simplexes")
