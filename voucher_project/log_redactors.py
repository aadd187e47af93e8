"""What finds secrets in log lines, by dotted path: the setting LOG_REDACTORS, here for who can't wait for the settings.

gunicorn's main process has none, and a command must mask its traceback also where the settings can't be read.
"""

from typing import Final

LOG_REDACTORS: Final = ("apps.vouchers.code_redaction.code_spans",)
