"""Mail: a row in the database with what it reports, and sent later, so that none is lost and none delays a request."""

from .delivery import RESERVED_FOR, send_pending, waiting
from .messages import LETTER
from .parts import (
    Attachment,
    Picture,
    attachments_of,
    content_id,
    pictures_of,
    register_attachments,
    register_pictures,
)
from .queue import enqueue, erase_address, remove_old, sent_to

__all__ = [
    "LETTER",
    "RESERVED_FOR",
    "Attachment",
    "Picture",
    "attachments_of",
    "content_id",
    "enqueue",
    "erase_address",
    "pictures_of",
    "register_attachments",
    "register_pictures",
    "remove_old",
    "send_pending",
    "sent_to",
    "waiting",
]
