#!/usr/bin/env bash
# Builds the image and runs it as compose.yaml does, without Docker: read-only root, nobody's rights, only /tmp and the media
# volume to write to. Migrates, starts web, worker and beat, buys and redeems a voucher by test keys at the local Stripe.
#
#   make image
#
# Needs root, buildah, crun, debootstrap and the tests' environment (.venv), and the machine's PostgreSQL and Redis:
# CI_POSTGRES (postgresql://postgres@127.0.0.1:5432) and CI_REDIS (redis://127.0.0.1:6379/14). Python comes from Debian here
# (bookworm, python 3.11), not from the image that the Dockerfile names: there may be no registry of images. Takes two minutes.
# Where a program is missing it is skipped, with status 0.
set -euo pipefail
cd "$(dirname "$0")/.."

for program in buildah crun debootstrap; do
    command -v "$program" >/dev/null || { echo "skipped: $program is not installed"; exit 0; }
done
[ "$(id -u)" = 0 ] || { echo "skipped: not root"; exit 0; }

CI_POSTGRES=${CI_POSTGRES:-postgresql://postgres@127.0.0.1:5432}
CI_REDIS=${CI_REDIS:-redis://127.0.0.1:6379/14}
base=localhost/voucher-app-base:bookworm
image=localhost/voucher-app:drill
name=image_drill_$$
python=.venv/bin/python
scratch=$(mktemp -d)
pids=()
container=

# crun_here …: crun; where cgroups are of both versions, which it refuses, without the second in a mount namespace of its own.
crun_here() {
    unshare --mount sh -c 'umount -l /sys/fs/cgroup/unified 2>/dev/null || true; exec crun --cgroup-manager=disabled "$@"' crun "$@"
}

finish() {
    trap - EXIT
    for one in web worker beat; do crun_here delete --force "${name}_$one" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    [ -z "$container" ] || buildah rm "$container" >/dev/null || true
    psql --quiet "$CI_POSTGRES/postgres" --command "DROP DATABASE IF EXISTS \"$name\" WITH (FORCE)" || true
    rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

step() { printf '\n=== %s (%d s)\n' "$1" "$SECONDS"; }

if ! buildah inspect --type image "$base" >/dev/null 2>&1; then
    step "A base image from Debian's packages"
    debootstrap --variant=minbase --include=python3.11,python3.11-venv,ca-certificates \
        bookworm "$scratch/base" http://deb.debian.org/debian >/dev/null
    ln -sf python3.11 "$scratch/base/usr/bin/python"
    rm -rf "$scratch"/base/var/cache/apt/archives/*.deb "$scratch"/base/var/lib/apt/lists/*
    printf 'FROM scratch\nADD base /\n' >"$scratch/Base"
    buildah bud --quiet --isolation chroot --format docker -t "$base" -f "$scratch/Base" "$scratch"
    rm -rf "$scratch/base"
fi

step "The image"
printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n' >"$scratch/pip.conf"  # of this machine, whatever it trusts
buildah bud --quiet --isolation chroot --format docker --build-arg "BASE=$base" -t "$image" \
    -v /etc/ssl/certs:/etc/ssl/certs:ro -v "$scratch/pip.conf:/etc/pip.conf:ro" .
container=$(buildah from "$image")
root=$(buildah mount "$container")
buildah images --format '{{.Name}} {{.Size}}' | grep voucher-app

port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
stripe_port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
mkdir "$scratch/media"
chown 1000:1000 "$scratch/media"
cat >"$scratch/environment" <<ENVIRONMENT
SECRET_KEY=$("$python" -c 'import secrets; print(secrets.token_urlsafe(60))')
ALLOWED_HOSTS=127.0.0.1
DATABASE_URL=$CI_POSTGRES/$name
REDIS_URL=$CI_REDIS
STRIPE_SECRET_KEY=sk_test_0123456789AbCdEf
STRIPE_PUBLISHABLE_KEY=pk_test_0123456789AbCdEf
STRIPE_TEST_MODE=True
STRIPE_WEBHOOK_SECRET=whsec_0123456789AbCdEf
STRIPE_API_BASE=http://127.0.0.1:$stripe_port
FRONTEND_URL=https://app.example.com
DEFAULT_FROM_EMAIL=vouchers@example.com
EMAIL_BACKEND=django.core.mail.backends.console.EmailBackend
SHOP_SELLER=Exams Ltd | 1 Main Street, Accra | TIN C0001
TRUSTED_PROXY_COUNT=1
PORT=$port
ENVIRONMENT

# bundle NAME COMMAND…: what crun is to run, from the image's own configuration and the environment.
bundle() {
    local folder=$scratch/$1
    shift
    mkdir -p "$folder"
    buildah inspect --type image "$image" | "$python" deploy/oci_bundle.py \
        "$root" "$scratch/environment" "$scratch/media" "$@" >"$folder/config.json"
}

# run NAME COMMAND…: in the image, to its end.
run() { bundle "$@"; crun_here run --bundle "$scratch/$1" "${name}_$1"; }

# start NAME COMMAND…: in the image, beside what follows; what it prints goes to a file.
start() {
    bundle "$@"
    crun_here run --bundle "$scratch/$1" "${name}_$1" >"$scratch/$1.log" 2>&1 </dev/null &
    pids+=($!)
}

# until_true SECONDS COMMAND…: wait for it.
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || { echo "Not in time: $*"; tail -n 20 "$scratch"/*.log; exit 1; }
        sleep 0.3
    done
}

step "Nothing can be written but /tmp and the volume"
run rights sh -ec '
    [ "$(id -u)" = 1000 ]
    grep -Eq "^CapEff:\s+0+$" /proc/self/status
    for place in / /app /app/media /app/logs /app/staticfiles /venv /var/lib/vouchers; do
        if touch "$place/x" 2>/dev/null; then echo "$place can be written"; exit 1; fi
    done
    touch /tmp/x /var/lib/vouchers/media/x && rm /tmp/x /var/lib/vouchers/media/x
    for missing in gcc pip; do if command -v "$missing"; then exit 1; fi; done
    [ ! -e /app/.git ] && [ ! -e /app/.env ] && [ ! -e /app/tests ] && [ ! -e /app/local_stripe ]'

step "Migrate, and fill in"
psql --quiet "$CI_POSTGRES/postgres" --command "CREATE DATABASE \"$name\""
"$python" -m local_stripe --port "$stripe_port" --webhook-secret whsec_0123456789AbCdEf >"$scratch/stripe.log" 2>&1 &
pids+=($!)
run migrate python manage.py migrate --noinput --verbosity 0
run samples python manage.py create_sample_vouchers
run check python manage.py check --deploy --fail-level WARNING

step "Web, worker, beat"
start web gunicorn voucher_project.wsgi
start worker celery -A voucher_project worker --concurrency 1
start beat celery -A voucher_project beat --schedule /tmp/celerybeat-schedule
until_true 60 curl --noproxy '*' --silent --fail "http://127.0.0.1:$port/api/health/"
health=$(buildah inspect --type image "$image" | "$python" -c '
import json, shlex, sys
print(shlex.join(json.load(sys.stdin)["Docker"]["config"]["Healthcheck"]["Test"][1:]))')
crun_here exec --cwd /app "${name}_web" sh -c "$health"
echo "The image's health check says so too."
# Those of worker and beat, as compose.yaml has them, but for the address.
for one in worker beat; do
    health=$("$python" -c '
import shlex, sys, yaml
kind, *words = yaml.safe_load(open("compose.yaml"))["services"][sys.argv[1]]["healthcheck"]["test"]
print((shlex.join(words) if kind == "CMD" else words[0].replace("$$", "$")).replace("web:8000", sys.argv[2]))' \
        "$one" "127.0.0.1:$port")
    until_true 130 crun_here exec --cwd /app "${name}_$one" sh -c "$health"  # the first sign of life comes with the minute
    echo "So does that of the $one."
done

step "A purchase and a redemption"
"$python" deploy/try_purchase.py "http://127.0.0.1:$port" --stripe "http://127.0.0.1:$stripe_port" --behind-tls
grep -q '"GET\|Traceback' "$scratch/web.log" && { cat "$scratch/web.log"; exit 1; }
# The beat starts the job that sends mail each minute, the worker runs it.
until_true 100 grep -q '^Subject: ' "$scratch/worker.log"
grep '^Subject: ' "$scratch/worker.log" | sort | uniq -c

step "The end"
for one in web worker beat; do crun_here kill "${name}_$one" TERM; done
has_ended() { ! kill -0 "$1"; }
for pid in "${pids[@]:1}"; do until_true 35 has_ended "$pid"; done  # all but the local Stripe
if grep -l Traceback "$scratch"/*.log; then cat "$scratch"/*.log; exit 1; fi
printf '\nThe image is good, in %d s.\n' "$SECONDS"
