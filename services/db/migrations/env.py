"""Alembic's entry: it runs on the connection that `services.db.migrate` hands it."""

from alembic import context

from services.db.models import Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection, target_metadata=Base.metadata, render_as_batch=connection.dialect.name == "sqlite"
)
with context.begin_transaction():
    context.run_migrations()
