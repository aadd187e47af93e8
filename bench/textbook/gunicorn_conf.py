"""The twin's web server: two processes with one request at a time, gunicorn's default. WEB_HOST and PORT say where.

Name it with --config: without, gunicorn reads the product's own from the working directory.
"""

import os

bind = f"{os.environ.get('WEB_HOST', '127.0.0.1')}:{os.environ.get('PORT', '8000')}"
workers = 2
worker_class = "sync"
control_socket_disable = True
timeout = 120  # a figure of a million rows takes longer than the 30 seconds after which it would be ended
