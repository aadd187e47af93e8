#!/usr/bin/env bash
# Waits until this version's migrations were run, then runs a command, where nothing else says when a worker may start:
#
#   deploy/after_migrations.sh celery -A voucher_project worker
#
# Gives up after WAIT seconds (900), with status 1: whoever restarts it has it wait again.
set -euo pipefail
cd "$(dirname "$0")/.."

end=$((SECONDS + ${WAIT:-900}))
until python manage.py migrate --check >/dev/null 2>&1; do
    if [ "$SECONDS" -ge "$end" ]; then
        echo "The migrations were not run within ${WAIT:-900} seconds." >&2
        python manage.py migrate --check || true  # what it says
        exit 1
    fi
    sleep "${PAUSE:-3}"
done
exec "$@"
