# The app for production: docker build -t voucher-app .
# One image, four commands:
#   docker run … voucher-app                                                            the web server
#   docker run … voucher-app python manage.py migrate                                   before each new version
#   docker run … voucher-app celery -A voucher_project worker                           background jobs
#   docker run … voucher-app celery -A voucher_project beat -s /tmp/celerybeat-schedule their schedule: only one

FROM python:3.11-slim AS packages
COPY requirements.txt .
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --disable-pip-version-check -r requirements.txt

FROM python:3.11-slim
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 LOG_FILE=none WEB_HOST=0.0.0.0
RUN useradd --create-home --uid 1000 app
COPY --from=packages /venv /venv
WORKDIR /app
COPY . .
# Compiled once, not by each process that starts.
RUN python -m compileall -q apps shop voucher_project
# The values are for this one command: nothing of them stays in the image.
RUN SECRET_KEY=for-collecting-static-files-while-the-image-is-built-0123456789 ALLOWED_HOSTS=localhost \
    STRIPE_SECRET_KEY=sk_test_0123456789AbCdEf STRIPE_PUBLISHABLE_KEY=pk_test_0123456789AbCdEf STRIPE_TEST_MODE=True \
    STRIPE_WEBHOOK_SECRET=whsec_0123456789AbCdEf ALLOW_SQLITE=True FRONTEND_URL=https://app.example.com \
    EMAIL_HOST=localhost DEFAULT_FROM_EMAIL=vouchers@example.com \
    python manage.py collectstatic --noinput \
    && mkdir -p media logs && chown app:app media logs
USER app
EXPOSE 8000
CMD ["gunicorn", "voucher_project.wsgi"]
