#!/usr/bin/env bash
# Builds the app on a platform such as Render: dependencies, static files, database.
set -euo pipefail
cd "$(dirname "$0")"

python -m pip install --requirement requirements.txt
python manage.py collectstatic --noinput
DATABASE_STATEMENT_TIMEOUT_MS=600000 python manage.py migrate --noinput
