"""The review: people of a show, the log of edits of an episode, and where decided pieces lay."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_LIVE_PUBLISH = sa.text("kind = 'publish' and state not in ('cancelled', 'failed', 'done')")


def upgrade() -> None:
    """Apply."""
    # Not in batches, which make the whole table anew on SQLite: others point at its rows.
    op.add_column("shows", _counter("people_revision"))
    op.add_column("episodes", _counter("published_revision"))
    op.create_index(
        "ix_jobs_live_publish", "jobs", ["episode_id"], unique=True, sqlite_where=_LIVE_PUBLISH,
        postgresql_where=_LIVE_PUBLISH,
    )  # fmt: skip
    _make_people()
    _make_edits()


def downgrade() -> None:
    """Take back."""
    for table in ("anchors", "edits", "people"):
        op.drop_table(table)
    op.drop_index("ix_jobs_live_publish", "jobs")
    op.drop_column("episodes", "published_revision")
    op.drop_column("shows", "people_revision")


def _counter(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), server_default="0", nullable=False)


def _make_people() -> None:
    op.create_table(
        "people",
        sa.Column("show_id", sa.String(length=32), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("name_key", sa.String(length=360), nullable=False),
        sa.Column("into", sa.String(length=36), nullable=True),
        sa.Column("former", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["show_id"], ["shows.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("show_id", "id"),
    )
    op.create_index("ix_people_show_name", "people", ["show_id", "name_key"], unique=True)


def _make_edits() -> None:
    op.create_table(
        "edits",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("episode_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("of", sa.Integer(), nullable=True),
        sa.Column("operation", sa.JSON(), nullable=False),
        sa.Column("changes", sa.JSON(), nullable=False),
        sa.Column("touches", sa.JSON(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("user_id", sa.String(length=32), nullable=True),
        sa.Column("actor", sa.String(length=120), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["episode_id"], ["episodes.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_edits_episode_number", "edits", ["episode_id", "number"], unique=True)
    op.create_table(
        "anchors",
        sa.Column("episode_id", sa.String(length=32), nullable=False),
        sa.Column("piece_id", sa.String(length=64), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["episode_id"], ["episodes.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("episode_id", "piece_id"),
    )
