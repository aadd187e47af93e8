#!/usr/bin/env python
"""The command line of the project: `python manage.py help` lists what it can do."""

import sys
from functools import partial

from apps.core.logs import load_redactors, redacting_excepthook
from voucher_project.environment import choose_settings
from voucher_project.logging_config import LOG_REDACTORS


def main() -> None:
    """Run the command that the arguments name; `test` first brings up the servers that it needs."""
    sys.excepthook = partial(redacting_excepthook, redactors=load_redactors(LOG_REDACTORS))
    if sys.argv[1:2] == ["test"]:
        from tests.support import services

        services.use(pooled="--pooled" in sys.argv)
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        choose_settings()
        assert settings.INSTALLED_APPS  # read the settings now: Django would go on without them
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:  # it says what to do: a traceback would bury that
        sys.exit(str(error))


if __name__ == "__main__":
    main()
