"""Statements that are run for every instance, compiled once and handed to the database's driver directly.

SQLAlchemy looks a statement up, binds its values and wraps its result at each execution, which takes several
times as long as SQLite takes to answer. The transaction is still that of SQLAlchemy's connection, and errors
are raised as SQLAlchemy raises them.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Delete, Dialect, Insert, Select, TextClause
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler


class Prepared:
    """One statement with named parameters.

    Values are not converted on their way: they must be numbers, text, bytes, truth values or ``None``.
    """

    def __init__(self, statement: Select[Any] | Insert | Delete | TextClause) -> None:
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
