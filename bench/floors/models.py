"""The product's table of users, for the one query of the sign-in."""

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models


class User(AbstractBaseUser):
    email = models.EmailField(unique=True)
    first_name = models.CharField(max_length=150)
    last_name = models.CharField(max_length=150)
    is_active = models.BooleanField()
    is_staff = models.BooleanField()
    date_joined = models.DateTimeField()

    USERNAME_FIELD = "email"

    class Meta:
        managed = False
        db_table = "users_user"

    def __str__(self) -> str:
        return self.email
