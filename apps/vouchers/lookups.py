"""Finding vouchers by a part of their code, through an index."""

from django.db.models import CharField, Transform


class LastFour(Transform):
    """The last four symbols of a code, as `code__last_four`.

    Its position is written into the statement and not sent beside it: only so does SQLite, too, see that the
    index on this expression is meant.
    """

    lookup_name = "last_four"
    template = "SUBSTR(%(expressions)s, 13)"
    output_field = CharField()
