# The app for production: docker build -t voucher-app .
# One image, four commands (compose.yaml runs them all, docs/deploy/compose.md):
#   docker run … voucher-app                                                            the web server
#   docker run … voucher-app python manage.py migrate                                   before each new version
#   docker run … voucher-app celery -A voucher_project worker                           background jobs
#   docker run … voucher-app celery -A voucher_project beat -s /tmp/celerybeat-schedule their schedule: only one
#
# It runs as nobody in particular on a root that may be read-only: --read-only --tmpfs /tmp -v media:/var/lib/vouchers/media

ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE} AS packages
COPY requirements.txt /
# Wheels alone, by their hashes: nothing is compiled by C compilers, and no package runs code of its own while it is installed.
# What Python compiles is never compared with its source again: neither changes.
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --no-compile --disable-pip-version-check --require-hashes --only-binary :all: \
        --requirement /requirements.txt \
    && /venv/bin/pip uninstall --quiet --yes setuptools pip \
    && python -m compileall -q --invalidation-mode unchecked-hash /venv/lib

FROM ${BASE}
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 LOG_FILE=none WEB_HOST=0.0.0.0 \
    MEDIA_STORAGE=/var/lib/vouchers/media
RUN useradd --uid 1000 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin app \
    && install --directory --owner app --group app /var/lib/vouchers/media
COPY --from=packages /venv /venv
WORKDIR /app
COPY . .
# The values are for this one command: nothing of them stays in the image.
RUN python -m compileall -q --invalidation-mode unchecked-hash apps shop voucher_project \
    && SECRET_KEY=for-collecting-static-files-while-the-image-is-built-0123456789 ALLOWED_HOSTS=localhost \
    STRIPE_SECRET_KEY=sk_test_0123456789AbCdEf STRIPE_PUBLISHABLE_KEY=pk_test_0123456789AbCdEf STRIPE_TEST_MODE=True \
    STRIPE_WEBHOOK_SECRET=whsec_0123456789AbCdEf ALLOW_SQLITE=True FRONTEND_URL=https://app.example.com \
    EMAIL_HOST=localhost DEFAULT_FROM_EMAIL=vouchers@example.com \
    python manage.py collectstatic --noinput --verbosity 0
USER 1000:1000
EXPOSE 8000
STOPSIGNAL SIGTERM
# Of the web server; whoever runs another command says what healthy is for it (compose.yaml).
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-S", "-c", "import os, urllib.request; urllib.request.urlopen(f\"http://127.0.0.1:{os.environ.get('PORT', '8000')}/api/health/\", timeout=4)"]
CMD ["gunicorn", "voucher_project.wsgi"]
