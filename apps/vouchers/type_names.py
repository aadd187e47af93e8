"""The name of a voucher's type as it was when the voucher was sold or issued, and that of its service."""

from django.db import models


class WithTypeName(models.Model):
    """Keeps the name that its type had when it was sold or issued, whatever the type is called later."""

    type_name = models.CharField(
        max_length=200,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="What the type was called then. Empty: it was not kept, and today's name stands for it.",
    )

    class Meta:
        abstract = True

    @property
    def sold_as(self) -> str:
        """The name under which it was sold or issued."""
        return self.type_name or str(self.voucher_type.name)  # type: ignore[attr-defined]


def service_name(service_type: str) -> str:
    """A service as people read it: "exam_results" is "Exam results"."""
    words = service_type.replace("_", " ").replace("-", " ").strip()
    return words[:1].upper() + words[1:]
