"""How passwords are kept."""

from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2idPasswordHasher(Argon2PasswordHasher):
    """Argon2id at the parameters of OWASP's Password Storage Cheat Sheet: 19 MiB, 2 passes, 1 lane.

    Django's own (100 MiB, 2 passes, 8 lanes) take ten times as long, and memory for each parallel sign-in.
    """

    time_cost = 2
    memory_cost = 19 * 1024
    parallelism = 1
