"""People who sign in by e-mail, and what they tell about themselves."""

import uuid
from typing import TYPE_CHECKING, Any, ClassVar, Final

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.crypto import salted_hmac

from apps.core.email_addresses import validate_mailable
from apps.core.languages import Language

from . import passwords

CLOSED_DOMAIN: Final = "closed.invalid"  # RFC 2606: nobody's, ever

if TYPE_CHECKING:
    EmailField = models.EmailField[str, str]
else:
    EmailField = models.EmailField


class EmailAddressField(EmailField):
    """An e-mail address that can be mailed, kept, compared and looked up in lower case."""

    default_validators = [*EmailField.default_validators, validate_mailable]

    def to_python(self, value: Any) -> Any:
        value = super().to_python(value)
        return value.strip().lower() if isinstance(value, str) else value

    def get_prep_value(self, value: Any) -> Any:
        return self.to_python(super().get_prep_value(value))


class UserManager(BaseUserManager["User"]):
    """Makes users; looks them up by e-mail whatever its case."""

    @classmethod
    def normalize_email(cls, email: str | None) -> str:
        """The address as it is kept: the whole of it in lower case, as `EmailAddressField` does."""
        return (email or "").strip().lower()

    def create_user(self, email: str | None, password: str | None = None, **fields: Any) -> "User":
        """A new user; without a password, one who can't sign in by password. Raises ValueError without e-mail."""
        email = self.normalize_email(email)
        if not email:
            raise ValueError("A user needs an e-mail address.")
        user = self.model(email=email, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """A new user who may do everything in the admin; whoever may run the command knows the address."""
        rights = {"is_staff": True, "is_superuser": True}
        return self.create_user(email, password, **{"email_confirmed_at": timezone.now(), **fields, **rights})


class User(AbstractBaseUser, PermissionsMixin):
    """A person; the e-mail address is the login name."""

    email = EmailAddressField(
        "e-mail", unique=True, error_messages={"unique": "There is an account with this e-mail address."}
    )
    # Null for a row that an older version inserts while it serves beside this one, too: nobody mailed it a link.
    email_confirmed_at = models.DateTimeField(
        "e-mail confirmed",
        null=True,
        blank=True,
        editable=False,
        help_text="When the owner proved that mail to the address reaches them. Until then no codes are mailed.",
    )
    first_name = models.CharField(max_length=150, blank=True)
    last_name = models.CharField(max_length=150, blank=True)
    language = models.CharField(
        max_length=10,
        choices=Language.choices,
        default=Language.EN,
        db_default=Language.EN,
        help_text="Of the mails to this person.",
    )
    is_active = models.BooleanField(
        "active", default=True, help_text="Untick instead of deleting: every session ends at once."
    )
    is_staff = models.BooleanField("staff", default=False, help_text="May sign in to the admin.")
    date_joined = models.DateTimeField(default=timezone.now, editable=False)
    sessions_epoch = models.PositiveIntegerField(default=0, db_default=0, editable=False)

    # Whether the session by which this instance was read passed the second factor: whoever reads it from one says so.
    second_factor_passed: bool = False

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        ordering = ("-date_joined", "-id")
        permissions = (
            ("manage_staff", "Can make people staff, and give them groups of no more rights than their own"),
        )
        constraints = (
            models.UniqueConstraint(
                Lower("email"),
                name="users_user_email_unique_in_any_case",
                violation_error_message="There is an account with this e-mail address.",
            ),
        )
        indexes: ClassVar = [
            models.Index(fields=("last_login",), name="users_by_last_login"),
            models.Index(fields=("-date_joined", "-id"), name="users_newest_first"),
            # The few among many, for the lists of staff.
            models.Index(
                fields=("is_staff", "date_joined"), condition=models.Q(is_staff=True), name="users_staff"
            ),
            models.Index(
                fields=("is_active", "date_joined"),
                condition=models.Q(is_active=False),
                name="users_inactive",
            ),
        ]

    def __str__(self) -> str:
        return self.email

    def set_password(self, raw_password: str | None) -> None:
        super().set_password(passwords.normalised(raw_password))

    def check_password(self, raw_password: str | None) -> bool:
        return super().check_password(passwords.normalised(raw_password))

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """Django's, and the epoch besides: with another, the sessions of API and admin alike are over."""
        signed = f"{self.password}:{self.sessions_epoch}"
        return salted_hmac("users.User.sessions", signed, secret=secret, algorithm="sha256").hexdigest()

    @property
    def has_staff_powers(self) -> bool:
        """Whether this instance, read from a session of the API, may do what staff may."""
        return self.is_staff and (self.second_factor_passed or not settings.STAFF_SECOND_FACTOR)

    @property
    def email_confirmed(self) -> bool:
        """Whether the owner proved that mail to the address reaches them."""
        return self.email_confirmed_at is not None

    @property
    def is_closed(self) -> bool:
        """Whether the account was closed, and what says whose it was erased (see services.close_account)."""
        return self.email.endswith(f"@{CLOSED_DOMAIN}")

    @property
    def mail_address(self) -> str:
        """Where mail reaches them; empty once the account is closed, as the address was erased."""
        return "" if self.is_closed else self.email

    @property
    def full_name(self) -> str:
        """First and last name, without the empty one."""
        return f"{self.first_name} {self.last_name}".strip()

    def get_full_name(self) -> str:
        return self.full_name

    def get_short_name(self) -> str:
        return self.first_name or self.email


class EmailChange(models.Model):
    """A new e-mail address that its owner asked for, and that counts once a link mailed there is followed.

    A user has one at most. Links name it by `id`; when it is confirmed, canceled or replaced by another, its row goes,
    and so each link works once. `auth_hash` is that of the user's sessions: a new password, however set, or the end of
    all sessions leaves it without effect.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="email_change")
    new_email = EmailAddressField()
    auth_hash = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"Change of address of user {self.user_id}"


class WithheldMail(models.Model):
    """A mail with codes that waits until its owner confirms the address: what kind, and about which row.

    It is written then, with the codes as they are then: the row has none.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="withheld_mails", db_index=False)
    kind = models.CharField(max_length=40)
    reference = models.PositiveBigIntegerField(help_text="The number of the row that it is about.")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("user", "kind", "reference"), name="users_mail_withheld_once"),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.reference} for user {self.user_id}"


class UserProfile(models.Model):
    """What a person tells about themselves; every user has one (see signals.py)."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="profile")
    phone_number = models.CharField(max_length=32, blank=True)
    address = models.CharField(max_length=500, blank=True)
    date_of_birth = models.DateField(null=True, blank=True)
    profile_picture = models.ImageField(upload_to="profile-pictures/", blank=True)
    expiry_reminders = models.BooleanField(
        default=True, db_default=True, help_text="Mail before vouchers expire."
    )

    def __str__(self) -> str:
        return f"Profile of {self.user_id}"
