"""Redis as the tests use it."""

import os
from typing import Any

from django_redis.cache import RedisCache


def _own(key: str, prefix: str, version: int | str) -> str:
    return f"test-{os.getpid()}:{prefix}:{version}:{key}"


class OwnKeysCache(RedisCache):
    """Each process has keys of its own, so that parallel ones don't meet, and `clear()` takes only these."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, {**params, "KEY_FUNCTION": _own})

    def clear(self) -> None:
        self.delete_pattern("*")
