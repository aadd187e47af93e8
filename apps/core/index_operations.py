"""Migrations that make and drop indexes while the application serves.

On PostgreSQL an index is made and dropped CONCURRENTLY, so that nobody waits; the migration has `atomic = False`, and
its first and last operations are `LIFT_TIME_LIMITS` and `RESTORE_TIME_LIMITS`. Stopped in the middle, it can be run
again.
"""

import logging
from typing import Any, Final

from django.contrib.postgres.indexes import BrinIndex
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import DatabaseError, migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

log = logging.getLogger(__name__)


def _is_postgresql(schema_editor: BaseDatabaseSchemaEditor) -> bool:
    return schema_editor.connection.vendor == "postgresql"


def _drop_if_exists(schema_editor: BaseDatabaseSchemaEditor, name: str) -> None:
    way = "CONCURRENTLY " if _is_postgresql(schema_editor) else ""
    schema_editor.execute(f"DROP INDEX {way}IF EXISTS {schema_editor.quote_name(name)}")


def _lift(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """An index that is made beside the work of others waits for their transactions; nobody waits for it."""
    if _is_postgresql(schema_editor):
        schema_editor.execute("SET lock_timeout = 0")
        schema_editor.execute("SET statement_timeout = 0")


def _restore(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if _is_postgresql(schema_editor):
        schema_editor.execute("RESET lock_timeout")
        schema_editor.execute("RESET statement_timeout")


LIFT_TIME_LIMITS: Final = migrations.RunPython(_lift, _restore)
RESTORE_TIME_LIMITS: Final = migrations.RunPython(_restore, _lift)


class BlockRangeIndex(BrinIndex):
    """For a column that grows with the rows that are added: an index of next to no size, and none to keep up to date.

    It holds from what to what the column goes in each few blocks of the table. On SQLite it is one like any other.
    """

    def __init__(self, *, pages_per_range: int = 16, **options: Any) -> None:
        super().__init__(pages_per_range=pages_per_range, **options)

    def create_sql(self, model: Any, schema_editor: Any, using: str = "", **options: Any) -> Any:
        if _is_postgresql(schema_editor):
            return super().create_sql(model, schema_editor, using=using, **options)
        return models.Index.create_sql(self, model, schema_editor, **options)


class AddIndex(AddIndexConcurrently):
    """Make an index of a model's Meta."""

    def database_forwards(
        self, app_label: str, schema_editor: Any, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        # One that a stopped run left: PostgreSQL keeps it, of no use.
        _drop_if_exists(schema_editor, self.index.name)
        if _is_postgresql(schema_editor):
            super().database_forwards(app_label, schema_editor, from_state, to_state)
        else:
            migrations.AddIndex.database_forwards(self, app_label, schema_editor, from_state, to_state)

    def database_backwards(
        self, app_label: str, schema_editor: Any, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        _drop_if_exists(schema_editor, self.index.name)


class RemoveIndex(RemoveIndexConcurrently):
    """Drop an index of a model's Meta."""

    def database_forwards(
        self, app_label: str, schema_editor: Any, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        _drop_if_exists(schema_editor, self.name)

    def database_backwards(
        self, app_label: str, schema_editor: Any, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        _drop_if_exists(schema_editor, self.name)
        if _is_postgresql(schema_editor):
            super().database_backwards(app_label, schema_editor, from_state, to_state)
        else:
            migrations.RemoveIndex.database_backwards(self, app_label, schema_editor, from_state, to_state)


class DropFieldIndex(migrations.AlterField):
    """Drop the index of a field that is `db_index=False` from now on: an AlterField that keeps nobody waiting.

    On SQLite it does not make the table anew either, as AlterField would, and so keeps its triggers.
    """

    def database_forwards(
        self, app_label: str, schema_editor: Any, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        _, name = self._indexed(app_label, schema_editor, from_state)
        _drop_if_exists(schema_editor, name)

    def database_backwards(
        self, app_label: str, schema_editor: Any, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        model, name = self._indexed(app_label, schema_editor, to_state)
        _create_index(schema_editor, model, self.name, name)

    def _indexed(self, app_label: str, schema_editor: Any, state: ProjectState) -> tuple[Any, str]:
        """The model that has the index, and the index's name."""
        model = state.apps.get_model(app_label, self.model_name)
        return model, _name_of_index(schema_editor, model, self.name)


class DropPrefixIndex(Operation):
    """Drop the second index that Django makes on PostgreSQL for a text column that is unique or has one, for LIKE 'a%'.

    The state of the models does not tell of it, and it does not exist on SQLite.
    """

    reversible = True
    SUFFIX: Final = "_like"

    def __init__(self, model_name: str, name: str) -> None:
        self.model_name, self.name = model_name, name

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        pass

    def database_forwards(
        self, app_label: str, schema_editor: Any, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        if _is_postgresql(schema_editor):
            model = from_state.apps.get_model(app_label, self.model_name)
            _drop_if_exists(schema_editor, _name_of_index(schema_editor, model, self.name, self.SUFFIX))

    def database_backwards(
        self, app_label: str, schema_editor: Any, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        if _is_postgresql(schema_editor):
            model = to_state.apps.get_model(app_label, self.model_name)
            name = _name_of_index(schema_editor, model, self.name, self.SUFFIX)
            _create_index(schema_editor, model, self.name, name, opclasses=["varchar_pattern_ops"])

    def describe(self) -> str:
        return f"Drop the index for prefixes of field {self.name} of {self.model_name}"


def _name_of_index(schema_editor: Any, model: Any, field: str, suffix: str = "") -> str:
    """As Django names the index of one field."""
    column = model._meta.get_field(field).column
    name: str = schema_editor._create_index_name(model._meta.db_table, [column], suffix=suffix)
    return name


def _create_index(schema_editor: Any, model: Any, field: str, name: str, **options: Any) -> None:
    if _is_postgresql(schema_editor):
        options["concurrently"] = True
    _drop_if_exists(schema_editor, name)
    fields = [model._meta.get_field(field)]
    schema_editor.execute(schema_editor._create_index_sql(model, fields=fields, name=name, **options))


class AddTrigramIndex(Operation):
    """Make an index by which PostgreSQL finds a part of a text: what `icontains` of some of these fields looks for.

    It needs the extension pg_trgm. Where the role may not create it, or the server lacks it, a warning says what to do
    and the migration goes on: the same is found without the index, by reading the table. The state of the models does
    not tell of it, and it does not exist on SQLite.
    """

    reversible = True
    # insufficient_privilege, feature_not_supported and undefined_file (not installed at the server)
    NO_EXTENSION: Final = ("42501", "0A000", "58P01")

    def __init__(self, model_name: str, fields: tuple[str, ...], index_name: str) -> None:
        self.model_name, self.fields, self.index_name = model_name, fields, index_name

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        pass

    def database_forwards(
        self, app_label: str, schema_editor: Any, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        if not _is_postgresql(schema_editor):
            return
        model = to_state.apps.get_model(app_label, self.model_name)
        try:
            schema_editor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        except DatabaseError as error:
            if getattr(error.__cause__, "pgcode", None) not in self.NO_EXTENSION:
                raise
            log.warning(
                "No index for the search by parts of %s: %s. Let a superuser run: CREATE EXTENSION pg_trgm; %s;",
                model._meta.verbose_name_plural,
                str(error).strip().splitlines()[0],
                self._statement(schema_editor, model, "gin_trgm_ops"),
            )
            return
        _drop_if_exists(schema_editor, self.index_name)
        schema_editor.execute(self._statement(schema_editor, model, self._operators(schema_editor)))

    def database_backwards(
        self, app_label: str, schema_editor: Any, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        # The extension stays: others may use it.
        _drop_if_exists(schema_editor, self.index_name)

    def describe(self) -> str:
        return f"Add the index {self.index_name} for parts of texts of {self.model_name}"

    def _statement(self, schema_editor: Any, model: Any, operators: str) -> str:
        quote = schema_editor.quote_name
        columns = (quote(model._meta.get_field(field).column) for field in self.fields)
        texts = ", ".join(
            f"UPPER({column}::text) {operators}" for column in columns
        )  # as Django's `icontains` says
        table = quote(model._meta.db_table)
        return f"CREATE INDEX CONCURRENTLY {quote(self.index_name)} ON {table} USING gin ({texts})"

    @staticmethod
    def _operators(schema_editor: Any) -> str:
        """The operators with the schema that they are in, which need not be one that is searched."""
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(
                "SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'pg_trgm'"
            )
            [schema] = cursor.fetchone()
        return f"{schema}.gin_trgm_ops"
