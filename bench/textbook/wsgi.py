"""`gunicorn --workers 2 --worker-class sync bench.textbook.wsgi:application`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.textbook.settings")
application = get_wsgi_application()
