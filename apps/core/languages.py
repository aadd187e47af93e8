"""The languages that people are written to in."""

from django.db import models
from django.utils.translation.trans_real import parse_accept_lang_header


class Language(models.TextChoices):
    """A language of mails, as a BCP 47 tag. A new one needs its folder beside `mail/en` in each app's templates."""

    EN = "en", "English"
    FR = "fr", "French"


def negotiate(accept_language: str) -> Language:
    """The first of our languages that an Accept-Language header (RFC 9110, section 12.5.4) names; else English.

    A variant such as fr-CA counts as its language. A header that can't be read names none.
    """
    for tag, weight in parse_accept_lang_header(accept_language):
        language = tag.partition("-")[0]
        if weight > 0 and language in Language.values:
            return Language(language)
    return Language.EN
