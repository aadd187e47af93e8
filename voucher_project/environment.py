"""Reading the configuration: the process environment, else the file `.env`."""

import os
from collections.abc import Callable
from typing import Any

from decouple import Csv, UndefinedValueError, config
from django.core.exceptions import ImproperlyConfigured

words = Csv()


def read(name: str, default: Any = "", cast: Callable[[Any], Any] = str) -> Any:
    """The value of the variable `name`, passed through `cast`; `default` where it is unset or empty.

    Raises ImproperlyConfigured, naming the variable but never its value, when `cast` refuses it.
    """
    try:
        value = config(name)
    except UndefinedValueError:
        value = ""
    if value == "":
        return default
    try:
        return config(name, cast=cast)
    except (TypeError, ValueError) as error:
        raise ImproperlyConfigured(
            f"{name} in the environment or .env can't be read: not a valid value."
        ) from error


def choose_settings() -> None:
    """Name the settings module to Django, unless the environment already does."""
    os.environ["DJANGO_SETTINGS_MODULE"] = read("DJANGO_SETTINGS_MODULE", "voucher_project.settings")
