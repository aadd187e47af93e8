"""Staff look for people by part of a name or an address: the database has an index for it, where it can."""

from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import skipIf, skipUnless

from django.conf import settings
from django.db import connection
from django.db.migrations.state import ProjectState
from django.test import Client, tag

from apps.core.index_operations import AddTrigramIndex
from apps.users.models import User
from tests.support.cases import CommittingTestCase
from tests.support.plans import PlanTestCase, plan_of

from .factories import make_staff, make_user

INDEX = "users_by_parts"
OTHERS = 4000


@tag("server")
@skipUnless(connection.vendor == "postgresql", "SQLite has no such index")
class SearchByPartsTests(PlanTestCase):
    client_class: Any = Client

    def setUp(self) -> None:
        super().setUp()
        self.nora = make_user(email="nora.quist@example.net", first_name="Nora", last_name="Ström-Quist")
        User.objects.bulk_create(
            User(
                email=f"{number * 7919:x}@example.com",
                first_name=f"First{number:x}",
                last_name=f"{number:x}last",
            )
            for number in range(OTHERS)
        )
        self.client.force_login(make_staff())
        self.tidy("users_user")

    def test_a_part_is_looked_up_in_an_index(self) -> None:
        for text in ("quist", "STRÖM", "ora.qui", "nora ström", "strö ora"):
            with self.subTest(text):
                self.assertByIndex(partial(self.client.post, "/admin/search/", {"q": text}, follow=True))
                self.assertByIndex(partial(self.client.get, "/admin/users/user/", {"q": text}))

    def assertByIndex(self, call: Callable[[], Any]) -> None:
        """A page shows her, or is hers, and each statement that looks for parts of names has the index."""
        pages: list[Any] = []

        def shown() -> Any:
            pages.append(call())
            return pages[-1]

        statements = [each for each in self.statements_of(shown) if '"first_name"::text) LIKE ' in each]
        self.assertContains(pages[0], self.nora.email)
        self.assertTrue(statements)
        for statement in statements:
            plan = plan_of(statement)
            self.assertIn(INDEX, plan.partition("SELECT")[0], plan)


@tag("server")
@skipUnless(connection.vendor == "postgresql", "SQLite has no such index")
@skipIf(settings.DATABASE_POOLED, "a role is one of a session, and migrations pass by the pooler")
class ExtensionTests(CommittingTestCase):
    operation = AddTrigramIndex("user", ("email", "first_name", "last_name"), INDEX)

    def migrate(self) -> None:
        state = ProjectState.from_apps(User._meta.apps)
        with connection.schema_editor(atomic=False) as schema_editor:
            self.operation.database_forwards("users", schema_editor, state, state)

    def execute(self, *statements: str) -> None:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def has_index(self) -> bool:
        with connection.cursor() as cursor:
            return INDEX in connection.introspection.get_constraints(cursor, User._meta.db_table)

    def test_without_the_right_to_create_it_the_migration_goes_on_and_says_so(self) -> None:
        self.addCleanup(self.migrate)
        self.execute("DROP EXTENSION pg_trgm CASCADE", "CREATE ROLE without_rights")
        self.addCleanup(self.execute, "RESET ROLE", "DROP ROLE without_rights")
        self.execute("SET ROLE without_rights")
        with self.assertLogs("apps.core.index_operations", "WARNING") as logged:
            self.migrate()
        self.execute("RESET ROLE")
        self.assertFalse(self.has_index())
        # What it says is what a superuser has to do.
        [line] = logged.output
        self.assertIn("permission denied", line)
        self.execute("CREATE EXTENSION pg_trgm", line[line.index("CREATE INDEX") :])
        self.assertTrue(self.has_index())

    def test_it_can_be_run_again(self) -> None:
        for _ in range(2):
            self.migrate()
            self.assertTrue(self.has_index())
