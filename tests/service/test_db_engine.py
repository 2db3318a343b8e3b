"""What an error of the database tells."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.db.engine import Database


def test_an_error_names_the_statement_and_not_its_values(database_url: str) -> None:
    database = Database(database_url)
    with pytest.raises(DBAPIError) as caught, database.write() as session:
        session.execute(text("INSERT INTO nowhere (name) VALUES (:name)"), {"name": "Zoë Ægirsdóttir"})
    database.close()
    assert "INSERT INTO nowhere" in str(caught.value)
    assert "Zoë" not in str(caught.value)
    assert "Zoë" not in repr(caught.value)
