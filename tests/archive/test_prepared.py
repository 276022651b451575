"""What a prepared statement gives and raises is what the connection itself would."""

import pytest
from sqlalchemy import bindparam, select

from scp.archive import Archive
from scp.archive.index import folder
from scp.archive.prepared import Prepared
from scp.errors import IndexChanged, IndexUnavailable

INSERT = Prepared(folder.insert().values({column.name: bindparam(column.name) for column in folder.c}))
FIND = Prepared(select(folder.c.created_ns).where(folder.c.path == bindparam("path")))

ROW = {"path": b"\xffDoe", "mtime_ns": 1, "created_ns": 2}


def test_a_prepared_statement_is_part_of_its_connection_s_transaction(archive: Archive) -> None:
    with archive._index.writing() as connection:
        assert FIND.run(connection, ROW) is None
        assert INSERT.run(connection, ROW) is None
        assert FIND.run(connection, ROW) == 2
        connection.rollback()
    with archive._index.reading() as connection:
        assert FIND.run(connection, ROW) is None


def test_a_row_that_another_process_was_first_with_is_told_as_a_change(archive: Archive) -> None:
    with pytest.raises(IndexChanged) as caught, archive._index.writing() as connection:
        INSERT.run(connection, ROW)
        INSERT.run(connection, ROW)
    assert "Doe" not in str(caught.value.__cause__)
    with archive._index.reading() as connection:
        assert FIND.run(connection, ROW) is None


def test_what_the_driver_refuses_is_an_index_that_does_not_answer(archive: Archive) -> None:
    with pytest.raises(IndexUnavailable), archive._index.writing() as connection:
        connection.exec_driver_sql("DROP TABLE folder")
        FIND.run(connection, ROW)
