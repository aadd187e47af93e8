"""The exit statuses of commands, beside Django's 0 and 1."""

from typing import Final

INTERRUPTED: Final = 130  # as shells say of SIGINT
