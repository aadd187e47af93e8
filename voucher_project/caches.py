"""Where what is counted and kept for a while lies: in Redis, which all processes share, or in each process."""

from typing import Any


def caches(redis_url: str) -> dict[str, Any]:
    """Django's CACHES, with Redis at this address; empty for none. One that does not answer is no error."""
    if not redis_url:
        return {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    return {
        "default": {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": redis_url,
            "OPTIONS": {
                "IGNORE_EXCEPTIONS": True,
                "SOCKET_CONNECT_TIMEOUT": 0.5,
                "SOCKET_TIMEOUT": 0.5,
            },
        }
    }
