#!/usr/bin/env bash
# Builds the app on a platform such as Render: dependencies and static files. The database is migrated by the platform's
# step before a release (preDeployCommand in render.yaml, `release` in Procfile): a build may fail, or never be released.
set -euo pipefail
cd "$(dirname "$0")"

python -m pip install --requirement requirements.txt
python manage.py collectstatic --noinput
