"""The product's nouns as most would model them: foreign keys, a unique code, the indexes that Django makes of these."""

from datetime import timedelta

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.utils import timezone

from .codes import generate_code


class UserManager(BaseUserManager):
    def create_user(self, email, password=None, **fields):
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user


class User(AbstractBaseUser, PermissionsMixin):
    email = models.EmailField(unique=True)
    first_name = models.CharField(max_length=150, blank=True)
    last_name = models.CharField(max_length=150, blank=True)
    language = models.CharField(max_length=10, default="en")
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    date_joined = models.DateTimeField(default=timezone.now)

    objects = UserManager()

    USERNAME_FIELD = "email"

    def __str__(self):
        return self.email

    @property
    def full_name(self):
        return f"{self.first_name} {self.last_name}".strip()


class UserProfile(models.Model):
    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="profile")
    phone_number = models.CharField(max_length=32, blank=True)
    address = models.CharField(max_length=500, blank=True)
    date_of_birth = models.DateField(null=True, blank=True)
    profile_picture = models.FileField(upload_to="profile-pictures/", blank=True)
    expiry_reminders = models.BooleanField(default=True)

    def __str__(self):
        return f"Profile of {self.user_id}"


class VoucherType(models.Model):
    name = models.CharField(max_length=200, unique=True)
    description = models.TextField(blank=True)
    price = models.DecimalField(max_digits=10, decimal_places=2)
    currency = models.CharField(max_length=3, default="USD")
    service_type = models.SlugField(max_length=50)
    is_active = models.BooleanField(default=True)
    validity_days = models.PositiveIntegerField(default=365)
    max_uses = models.PositiveIntegerField(default=1)

    class Meta:
        ordering = ["name"]

    def __str__(self):
        return self.name


class Transaction(models.Model):
    class Status(models.TextChoices):
        PENDING = "pending"
        COMPLETED = "completed"
        FAILED = "failed"
        REFUNDED = "refunded"

    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="transactions")
    voucher_type = models.ForeignKey(VoucherType, on_delete=models.PROTECT, related_name="transactions")
    quantity = models.PositiveIntegerField(default=1)
    unit_price = models.DecimalField(max_digits=10, decimal_places=2)
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    currency = models.CharField(max_length=3, default="USD")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    stripe_payment_intent_id = models.CharField(max_length=255, unique=True)
    amount_refunded = models.DecimalField(max_digits=12, decimal_places=2, default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    completed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self):
        return f"{self.quantity} × {self.voucher_type_id} for {self.user_id}"


class Voucher(models.Model):
    code = models.CharField(max_length=19, unique=True, default=generate_code)
    voucher_type = models.ForeignKey(VoucherType, on_delete=models.PROTECT, related_name="vouchers")
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="vouchers")
    transaction = models.ForeignKey(Transaction, on_delete=models.PROTECT, related_name="vouchers")
    face_value = models.DecimalField(max_digits=10, decimal_places=2)
    currency = models.CharField(max_length=3, default="USD")
    purchase_date = models.DateTimeField(default=timezone.now)
    expiry_date = models.DateTimeField()
    total_uses = models.PositiveIntegerField(default=1)
    uses_remaining = models.PositiveIntegerField(default=1)
    is_active = models.BooleanField(default=True)
    inactive_reason = models.CharField(max_length=20, blank=True)

    class Meta:
        ordering = ["-purchase_date"]

    def __str__(self):
        return self.code

    @property
    def status(self):
        if not self.is_active:
            return "inactive"
        if self.uses_remaining == 0:
            return "used"
        if self.expiry_date <= timezone.now():
            return "expired"
        return "active"

    @property
    def is_valid(self):
        return self.status == "active"

    @property
    def days_until_expiry(self):
        return max(0, (self.expiry_date.date() - timezone.now().date()).days)

    @classmethod
    def issue_for(cls, transaction):
        """The vouchers of a transaction that is paid, with their first line of history."""
        voucher_type = transaction.voucher_type
        now = timezone.now()
        last_day = now + timedelta(days=voucher_type.validity_days)
        vouchers = cls.objects.bulk_create(
            cls(
                voucher_type=voucher_type,
                user=transaction.user,
                transaction=transaction,
                face_value=transaction.unit_price,
                currency=transaction.currency,
                purchase_date=now,
                expiry_date=last_day.replace(hour=23, minute=59, second=59, microsecond=0),
                total_uses=voucher_type.max_uses,
                uses_remaining=voucher_type.max_uses,
            )
            for _ in range(transaction.quantity)
        )
        VoucherEvent.objects.bulk_create(VoucherEvent(voucher=voucher, kind="issued") for voucher in vouchers)
        return vouchers


class VoucherUsage(models.Model):
    voucher = models.ForeignKey(Voucher, on_delete=models.PROTECT, related_name="usages")
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="usages")
    service_type = models.SlugField(max_length=50)
    used_at = models.DateTimeField(auto_now_add=True)
    details = models.JSONField(default=dict, blank=True)
    use_no = models.PositiveIntegerField()

    class Meta:
        ordering = ["-used_at"]

    def __str__(self):
        return f"Use {self.use_no} of {self.voucher_id}"


class VoucherEvent(models.Model):
    voucher = models.ForeignKey(Voucher, on_delete=models.PROTECT, related_name="history")
    kind = models.CharField(max_length=10)
    reason = models.CharField(max_length=500, blank=True)
    at = models.DateTimeField(auto_now_add=True)
    actor = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["id"]

    def __str__(self):
        return f"{self.voucher_id} {self.kind}"
