#!/usr/bin/env bash
# Proves that a backup can be restored: dumps the database, restores it beside it as <name>_drill, checks it there.
#
#   deploy/backup_drill.sh          dumps the database of today
#   deploy/backup_drill.sh FILE     restores this dump (pg_dump --format=custom) instead
#
# Reads DATABASE_URL, or DATABASE_DIRECT_URL where a pooler stands before it. Its role must be allowed to create databases. The
# database itself is only read. PYTHON names the interpreter (python). Exit status 0: restored, migrated to this
# version's schema, and the audit finds nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

source=${DATABASE_DIRECT_URL:-${DATABASE_URL:?DATABASE_URL is missing}}
# Of what may stand after the address only this is for all programs: how the server is encrypted and known.
query=${source#"${source%%\?*}"}
query=${query#\?}
for pair in ${query//&/ }; do
    value=${pair#*=}
    case $pair in
        sslmode=*) export PGSSLMODE="$value" ;;
        sslrootcert=*) PGSSLROOTCERT=$(printf '%b' "${value//%/\\x}") && export PGSSLROOTCERT ;;
    esac
done
source=${source%%\?*}
name=${source##*/}
server=${source%/*}
copy=$server/${name}_drill
python=${PYTHON:-python}
scratch=$(mktemp -d)
created=

finish() {
    trap - EXIT
    [ -z "$created" ] || psql --quiet "$server/postgres" --command "DROP DATABASE \"${name}_drill\" WITH (FORCE)"
    rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

dump=${1:-$scratch/database.dump}
if [ $# -eq 0 ]; then
    pg_dump --format=custom --no-owner --no-privileges --file "$dump" "$source"
    echo "Dumped $name: $(wc -c <"$dump") bytes."
fi

psql --quiet "$server/postgres" --command "CREATE DATABASE \"${name}_drill\""
created=yes
pg_restore --no-owner --no-privileges --exit-on-error --jobs 2 --dbname "$copy" "$dump"
echo "Restored it as ${name}_drill."

# Past the pooler, and without the time limits of requests: an audit reads everything.
export DATABASE_URL=$copy DATABASE_DIRECT_URL= DATABASE_POOLED=False DATABASE_STATEMENT_TIMEOUT_MS=600000
"$python" manage.py migrate --noinput --verbosity 0
"$python" manage.py audit
echo "The backup is good."
