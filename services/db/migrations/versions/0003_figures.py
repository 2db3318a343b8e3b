"""Figures about the work: counters, counts of each episode, what sweeps found, when a stage last got on."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("stage_runs", sa.Column("progressed_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "tallies",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("label", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", "label"),
    )
    op.create_table(
        "findings",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    _make_episode_figures()


def downgrade() -> None:
    """Take back."""
    for table in ("episode_figures", "findings", "tallies"):
        op.drop_table(table)
    op.drop_column("stage_runs", "progressed_at")


def _make_episode_figures() -> None:
    counts = (
        "frames", "faces", "tracks", "clusters", "low_conf_clusters", "low_conf_tracks", "actions",
        "reviewed_tracks", "moved_tracks",
    )  # fmt: skip
    op.create_table(
        "episode_figures",
        sa.Column("episode_id", sa.String(length=32), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=True) for name in counts),
        sa.Column("guided", sa.Boolean(), nullable=False),
        sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("audit_lines", sa.BigInteger(), nullable=False),
        sa.Column("audit_hash", sa.String(length=64), nullable=True),
        sa.Column("audit_kind", sa.String(length=16), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["episode_id"], ["episodes.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("episode_id"),
    )
    op.create_index("ix_episode_figures_reviewed", "episode_figures", ["reviewed_at"])
