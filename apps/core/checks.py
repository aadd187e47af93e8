"""What `check` says of the shop's name, and `check --deploy` and the start of folders."""

from typing import Any, Final

from django.conf import settings
from django.contrib.staticfiles.storage import ManifestFilesMixin, staticfiles_storage
from django.core.checks import CheckMessage, Tags, Warning, register

from . import health

AT_START: Final = (
    "start"  # the tag of deployment checks of which the start of a web process logs the warnings too
)


@register(Tags.files, AT_START, deploy=True)
def media_can_be_stored(**context: Any) -> list[CheckMessage]:
    """Warn where uploads would be refused."""
    if (state := health.media(write=True)) == "ok":
        return []
    if settings.MEDIA_ORIGIN:
        return [
            Warning(
                f"The bucket of MEDIA_STORAGE is {state}: pictures are refused with 503.",
                hint="Compare its name, endpoint and region, and what its keys may do: get, put, delete and list.",
                id="core.W001",
            )
        ]
    return [
        Warning(
            f"The media folder {settings.MEDIA_ROOT} can't be written: pictures are refused with 503.",
            hint="Give it to the user who runs the web server.",
            id="core.W001",
        )
    ]


@register(Tags.files, AT_START, deploy=True)
def static_files_are_collected(**context: Any) -> list[CheckMessage]:
    """Warn where pages of the admin would fail for want of their styles and scripts."""
    storage: Any = staticfiles_storage
    if not isinstance(storage, ManifestFilesMixin) or storage.read_manifest() is not None:
        return []
    return [
        Warning(
            "Static files are not collected: the admin's pages fail.",
            hint="Run manage.py collectstatic --noinput.",
            id="core.W002",
        )
    ]


@register(Tags.compatibility)
def shop_is_printable(**context: Any) -> list[CheckMessage]:
    """Warn of letters in what the shop says of itself that no font has: PDFs show a ▯ for each."""
    words = " ".join((settings.SHOP_NAME, settings.SHOP_CONTACT, *settings.SHOP_SELLER))
    if words.isascii():
        return []
    from .pdf import without_font  # its fonts take time and memory that most commands can do without

    if not (lacking := without_font(words)):
        return []
    return [
        Warning(
            f"SHOP_NAME, SHOP_CONTACT or SHOP_SELLER has letters that no font has: {' '.join(lacking)}",
            hint="PDFs show ▯ for each of them. Write them in other letters.",
            id="core.W003",
        )
    ]
