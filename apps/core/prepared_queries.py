"""Queries of the ORM that are compiled to SQL once, for what is read at every request.

Django compiles a queryset anew each time it is read: for a short query that takes longer than the database does.
A `PreparedQuery` is written as any other queryset and keeps the SQL text:

    class Stock(NamedTuple):
        name: str
        number: int

    STOCK = PreparedQuery(
        Stock,
        lambda shop: Item.objects.filter(shop_id=shop).values_list("name", "number"),
        shop=models.BigAutoField(),
    )
    STOCK.rows(shop=7)  # [Stock(name="Pen", number=3), …]
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any, Final, Generic, NamedTuple, TypeAlias, TypeVar, cast

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connection, connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.db.models import sql
from django.db.models.expressions import Expression
from django.db.models.query import get_related_populators
from django.db.models.sql.compiler import SQLCompiler

from .column_conversion import Conversion, conversions_of, convert, needed
from .static_sql import StaticSql

CHUNK: Final = 500  # rows

Row = TypeVar("Row")
Instance = TypeVar("Instance", bound=models.Model)


class Parameter(Expression):
    """The place of a value that differs from call to call. `output_field` says how it is written for the database.

    A moment may be moved: `now - timedelta(days=1)` is the place of a value, too, the one that is a day before.
    """

    def __init__(
        self, name: str, output_field: models.Field[Any, Any], moved_by: timedelta | None = None
    ) -> None:
        super().__init__(output_field=output_field)
        self.name, self.moved_by = name, moved_by
        self.key = (name, moved_by)  # what tells the value of this place from that of another

    def __add__(self, other: Any) -> Any:
        # Not by the database, which would see a sum where an index and its statistics need a plain value.
        return self._moved(other) if isinstance(other, timedelta) else super().__add__(other)

    def __sub__(self, other: Any) -> Any:
        return self._moved(-other) if isinstance(other, timedelta) else super().__sub__(other)

    def _moved(self, by: timedelta) -> Parameter:
        return Parameter(self.name, self.output_field, by + (self.moved_by or timedelta()))

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, tuple[Any, ...]]:
        return "%s", (self,)

    @property
    def db_type(self) -> str:
        """The type of the value, as the database calls it."""
        return str(self.output_field.cast_db_type(connection))

    def value_for(self, connection: BaseDatabaseWrapper, values: dict[str, Any]) -> Any:
        """What stands in this place, as the database's driver takes it."""
        value = values[self.name]
        return self.output_field.get_db_prep_value(
            value if self.moved_by is None else value + self.moved_by, connection
        )


class Ids:
    """In the place of a field, for a parameter that is a list of numbers, and stands after `__in`."""


class _IdsParameter(Parameter):
    """The place of a list of numbers, as a sub-select: the text is the same however many there are."""

    def __init__(self, name: str) -> None:
        super().__init__(name, models.BigIntegerField())

    @property
    def db_type(self) -> str:
        return "bigint[]"

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, tuple[Any, ...]]:
        if connection.vendor == "postgresql":
            return "(SELECT unnest(%s::bigint[]))", (self,)
        return "(SELECT value FROM json_each(%s))", (self,)

    def value_for(self, connection: BaseDatabaseWrapper, values: dict[str, Any]) -> Any:
        numbers = [int(number) for number in values[self.name]]
        return numbers if connection.vendor == "postgresql" else json.dumps(numbers)


Kind: TypeAlias = "models.Field[Any, Any] | Ids"  # of a parameter


def _parameters(fields: dict[str, Kind]) -> dict[str, Parameter]:
    return {
        name: _IdsParameter(name) if isinstance(kind, Ids) else Parameter(name, kind)
        for name, kind in fields.items()
    }


_LIMIT: Final = (Parameter("limit", models.BigIntegerField()), Parameter("offset", models.BigIntegerField()))


def _literal(written: bytes) -> str:
    """A value as the driver writes it, in a text with places."""
    return written.decode().replace("%", "%%")


def _environment() -> tuple[str, str]:
    """What the text of a statement depends on besides the models: the kind of database, and the time zone of days."""
    return connection.vendor, settings.TIME_ZONE


def _values(parameters: Sequence[Any], values: dict[str, Any]) -> list[Any]:
    """The parameters of one call, as the database's driver takes them. A value is written once for all its places."""
    database = connections[DEFAULT_DB_ALIAS]  # `connection` looks it up anew for each of its attributes
    written: dict[tuple[str, timedelta | None], Any] = {}
    places: list[Any] = []
    for one in parameters:
        if isinstance(one, Parameter):
            if one.key not in written:
                written[one.key] = one.value_for(database, values)
            one = written[one.key]
        places.append(one)
    return places


class _Sent(NamedTuple):
    """A statement as it is sent, and what stands in its places."""

    sql: str
    parameters: Sequence[Any]

    def execute(self, cursor: CursorWrapper, values: dict[str, Any]) -> None:
        """Send it with these values."""
        cursor.execute(self.sql, _values(self.parameters, values))


@dataclass(frozen=True)
class _Statement:
    sql: str
    parameters: Sequence[Any]  # a Parameter, or a value that is always the same
    conversions: Sequence[Conversion] = ()
    is_static: bool = True  # a StaticSql
    _needed: list[Sequence[Conversion]] = field(default_factory=list)

    def conversions_for(self, cursor: CursorWrapper) -> Sequence[Conversion]:
        """Those of the conversions that are needed, by what the cursor returned the first time."""
        if not self._needed:
            self._needed.append(needed(self.conversions, cursor))
        return self._needed[0]

    @cached_property
    def alone(self) -> _Sent:
        return self._sent(self.sql, self.parameters)

    @cached_property
    def limited(self) -> _Sent:
        """The same with the parameters `limit` and `offset`."""
        return self._sent(f"{self.sql} LIMIT %s OFFSET %s", [*self.parameters, *_LIMIT])

    def _sent(self, sql: str, parameters: Sequence[Any]) -> _Sent:
        """As a StaticSql: what is always the same stands in the text, and each Parameter has a number and its type."""
        if connection.vendor != "postgresql" or not self.is_static:
            return _Sent(sql, parameters)
        with connection.cursor() as cursor:
            text = sql % tuple(
                "%s" if isinstance(one, Parameter) else _literal(cursor.mogrify("%s", [one]))
                for one in parameters
            )
        places = [one for one in parameters if isinstance(one, Parameter)]
        distinct = {one.key: one for one in places}
        keys = list(distinct)
        numbers = [keys.index(one.key) + 1 for one in places]
        return _Sent(
            StaticSql(text, numbers=numbers, types=[one.db_type for one in distinct.values()]), places
        )


class Subselect(NamedTuple):
    """A query in parentheses with its parameters, to stand in a statement that is written as text."""

    sql: str
    parameters: Sequence[Any]


class _Prepared:
    """What compiles a statement when it is first used in an environment, and keeps it."""

    def __init__(self, fields: dict[str, Kind]) -> None:
        self.fields = fields
        self._statements: dict[tuple[str, str], _Statement] = {}  # by _environment()

    def _statement(self) -> _Statement:
        environment = _environment()
        statement = self._statements.get(environment)
        if statement is None:
            statement = self._statements[environment] = self._compile()
        return statement

    def _compile(self) -> _Statement:
        raise NotImplementedError


class PreparedQuery(_Prepared, Generic[Row]):
    """A query with fixed text. Rows come as `row(*columns)`, the columns in the order of `values_list`.

    `build` gets a Parameter for each of `fields`, by name, and returns a queryset of `values_list`. What it reads
    besides them (settings, the time, other rows) is read once, when it is first used: the time is `Now()`, not
    `timezone.now()`. Only with another default time zone it is built again. A Parameter is never None; in `__in` stands
    one of Ids.
    """

    is_static = True  # PostgreSQL may plan it once for all values

    def __init__(
        self,
        row: Callable[..., Row],
        build: Callable[..., models.QuerySet[Any, Any]],
        **fields: Kind,
    ) -> None:
        super().__init__(fields)
        self.row, self.build = row, build

    def rows(self, *, limit: int | None = None, offset: int = 0, **values: Any) -> list[Row]:
        """All rows for these values; with `limit` at most so many, after the first `offset`. One query."""
        statement = self._statement()
        sent = statement.alone if limit is None else statement.limited
        with connection.cursor() as cursor:
            sent.execute(cursor, values if limit is None else {**values, "limit": limit, "offset": offset})
            conversions = statement.conversions_for(cursor)
            rows: list[Row] = []
            # Not all at once: the columns of thousands of rows take more memory than what is made of them.
            while True:
                fetched = cursor.fetchmany(CHUNK)
                if conversions:
                    fetched = [convert(columns, conversions) for columns in fetched]
                rows += [self.row(*columns) for columns in fetched]
                if len(fetched) < CHUNK:
                    return rows

    def first(self, **values: Any) -> Row | None:
        """The first row for these values, or None. One query."""
        rows = self.rows(limit=1, **values)
        return rows[0] if rows else None

    def subselect(self, *, limit: int | None = None, **values: Any) -> Subselect:
        """The query for these values, to stand in another statement; with `limit` of at most so many rows.

        It is not sent by itself.
        """
        statement = self._statement()
        text, parameters = statement.sql, _values(statement.parameters, values)
        if limit is not None:
            text += " LIMIT %s"
            parameters.append(limit)
        return Subselect(f"({text})", parameters)

    def _compile(self) -> _Statement:
        query = self.build(**_parameters(self.fields)).query
        compiler = query.get_compiler(connection=connection)
        text, parameters = compiler.as_sql()
        self._note_columns(compiler)
        return _Statement(text, parameters, conversions_of(compiler), self.is_static)

    def _note_columns(self, compiler: SQLCompiler) -> None:
        """What the columns are that a compiled query reads. Here they are those of `values_list`."""


class PreparedRangeQuery(PreparedQuery[Row]):
    """The same for a query whose best plan depends on its values, as ranges of time do: it is planned for these.

    A plan for all values reads any range as if it were short, and any owner's rows as if these were few.
    """

    is_static = False


class PreparedModelQuery(PreparedQuery[Instance]):
    """The same for a queryset of a model: the rows are its instances, with what is `select_related` and annotated."""

    def __init__(self, build: Callable[..., models.QuerySet[Instance, Any]], **fields: Kind) -> None:
        super().__init__(self._instance, build, **fields)

    def _note_columns(self, compiler: SQLCompiler) -> None:
        # As django.db.models.query.ModelIterable does for each queryset.
        model, select = compiler.klass_info, compiler.select
        self._model, places = model["model"], model["select_fields"]
        self._own = slice(places[0], places[-1] + 1)
        self._names = [column.target.attname for column, _, _ in select[self._own]]
        self._related = get_related_populators(model, select, connection.alias)  # type: ignore[call-arg]  # 6.0's
        self._annotations = compiler.annotation_col_map or {}

    def _instance(self, *columns: Any) -> Instance:
        instance: Instance = self._model.from_db(connection.alias, self._names, columns[self._own])
        for related in self._related:
            related.populate(columns, instance)
        for name, place in self._annotations.items():
            setattr(instance, name, columns[place])
        return instance


class PreparedUpdate(_Prepared):
    """An UPDATE with fixed text, of one table. `build` gets Parameters as in PreparedQuery, and returns the rows to
    change and their new values by the name of the field."""

    def __init__(
        self,
        build: Callable[..., tuple[models.QuerySet[Any, Any], dict[str, Any]]],
        **fields: Kind,
    ) -> None:
        super().__init__(fields)
        self.build = build

    def execute(self, **values: Any) -> int:
        """Change the rows for these values; how many there were. One query."""
        statement = self._statement()
        with connection.cursor() as cursor:
            statement.alone.execute(cursor, values)
            return int(cursor.rowcount)

    def _compile(self) -> _Statement:
        rows, new = self.build(**_parameters(self.fields))
        query = cast(sql.UpdateQuery, rows.order_by().query.chain(sql.UpdateQuery))
        query.add_update_values(new)
        return _Statement(*query.get_compiler(connection=connection).as_sql())


class BoundedCount(models.Subquery):
    """How many rows a queryset has, but no more than `at_most`, as a column: further ones are not looked at.

    `at_most` is a Parameter of the query; the rows may have Parameters too.
    """

    template = "(SELECT COUNT(*) FROM (%(subquery)s LIMIT %(at_most)s) AS bounded)"

    def __init__(self, rows: models.QuerySet[Any, Any], at_most: Parameter) -> None:
        super().__init__(rows.order_by().values("pk"), output_field=models.BigIntegerField())
        self.at_most = at_most

    def as_sql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, *arguments: Any, **options: Any
    ) -> tuple[str, tuple[Any, ...]]:
        place, number = self.at_most.as_sql(compiler, connection)
        text, parameters = super().as_sql(compiler, connection, *arguments, at_most=place, **options)
        return text, (*parameters, *number)


def count_subquery(rows: models.QuerySet[Any, Any]) -> models.Subquery:
    """How many rows a queryset has, as a column of another query; it may have Parameters.

    Not by Count, with which Django groups by a column: PostgreSQL would compare each row with the one before.
    """
    count = models.Func(function="COUNT", template="%(function)s(*)", output_field=models.BigIntegerField())
    return models.Subquery(rows.order_by().annotate(number=count).values("number"))
