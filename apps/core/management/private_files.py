"""Files that commands write, for nobody else to read."""

import contextlib
import os
import pwd
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from django.core.management.base import CommandError


def os_user() -> str:
    """Who runs the command, by name and number of the system."""
    try:
        return f"{pwd.getpwuid(os.getuid()).pw_name} (uid {os.getuid()})"
    except KeyError:  # nobody's number, as in containers
        return f"uid {os.getuid()}"


class PrivateFile:
    """A file that appears at its path whole or not at all, with mode 0600, and overwrites none unasked.

    Whether it can be written is tried on entering, before anything else is done. `advice` is what to do if it can't be
    written later.
    """

    def __init__(self, path: Path, *, overwrite: bool, advice: str = "") -> None:
        self.path = path
        self.advice = advice
        self.overwrite = overwrite

    def __enter__(self) -> Self:
        if self.path.is_dir():
            raise CommandError(f"{self.path} is a folder.")
        if not self.overwrite and os.path.lexists(self.path):
            raise CommandError(f"{self.path} exists. Choose another name, or --force to overwrite it.")
        try:
            self.descriptor, self.temporary = tempfile.mkstemp(
                prefix=f".{self.path.name[:100]}.", suffix=".part", dir=self.path.parent
            )
        except OSError as error:
            raise CommandError(f"{self.path} can't be written: {error.strerror}.") from error
        return self

    def write(self, parts: Iterable[bytes]) -> None:
        """Write all parts, then give the file its name. Raises CommandError."""
        try:
            with open(self.descriptor, "wb", closefd=False) as file:
                file.writelines(parts)
                file.flush()
                os.fsync(self.descriptor)
            if self.overwrite:
                os.replace(self.temporary, self.path)
            else:
                self._name()
        except OSError as error:
            raise CommandError(
                f"{self.path} can't be written: {error.strerror}. {self.advice}".rstrip()
            ) from error

    def _name(self) -> None:
        """Give the file its name, or raise FileExistsError if there is one by now."""
        try:
            os.link(self.temporary, self.path)
        except FileExistsError:
            raise
        except OSError:  # a file system without links: for a moment there is an empty file
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL, 0o600))
            os.replace(self.temporary, self.path)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self.descriptor)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.temporary)
