"""Mail: a row in the database with what it reports, and sent later, so that none is lost and none delays a request."""

from .delivery import RESERVED_FOR, send_pending, waiting
from .messages import Attachment, attachment_of, register_attachment
from .queue import enqueue, erase_address, remove_old, sent_to

__all__ = [
    "RESERVED_FOR",
    "Attachment",
    "attachment_of",
    "enqueue",
    "erase_address",
    "register_attachment",
    "remove_old",
    "send_pending",
    "sent_to",
    "waiting",
]
