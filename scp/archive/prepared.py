"""Statements that every instance needs, compiled once for a database and handed to its driver as they are.

SQLAlchemy finds, binds and wraps a statement anew each time, which takes several times as long as SQLite
takes to answer it. The transaction stays the connection's, and errors are the ones that it raises.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Dialect, Insert, Select, TextClause
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler


class Prepared:
    """One statement, whose values have names; they are of types that drivers take and give as they are."""

    def __init__(self, statement: Select[Any] | Insert | TextClause) -> None:
        self._statement = statement
        self._compiled: dict[str, SQLCompiler] = {}

    def run(self, connection: Connection, values: Mapping[str, Any]) -> Any:
        """Execute it and return the first column of the first row, ``None`` where there is none.

        Raises ``sqlalchemy.exc.DBAPIError``.
        """
        dialect = connection.dialect
        compiled = self._compiled.get(dialect.name) or self._compile(dialect)
        names = compiled.positiontup
        cursor = connection.connection.cursor()
        try:
            bound = values if names is None else tuple([values[name] for name in names])
            dialect.do_execute(cursor, compiled.string, bound)
            row = cursor.fetchone() if cursor.description else None
        except dialect.loaded_dbapi.Error as error:
            raise DBAPIError.instance(
                compiled.string, None, error, type(error), hide_parameters=True, dialect=dialect
            ) from error
        finally:
            cursor.close()
        return row[0] if row else None

    def _compile(self, dialect: Dialect) -> SQLCompiler:
        compiled = self._statement.compile(dialect=dialect)
        assert isinstance(compiled, SQLCompiler)
        self._compiled[dialect.name] = compiled
        return compiled
