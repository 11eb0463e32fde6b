#!/bin/sh
# First start: makes the cluster, the user and the database that POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB name.
# Every start: runs what was given.
set -eu

user=${POSTGRES_USER:-postgres}
database=${POSTGRES_DB:-$user}

if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
    : "${POSTGRES_PASSWORD:?is needed to make the database}"
    # A start that was killed half way has left something that initdb refuses: no PG_VERSION, so nobody's data.
    find "$PGDATA" -mindepth 1 -delete
    printf '%s\n' "$POSTGRES_PASSWORD" >/tmp/password
    initdb --username="$user" --pwfile=/tmp/password --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8
    rm -f /tmp/password
    printf 'host all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
    # Where no client looks: nobody may take a database for ready that is about to stop again.
    mkdir -p /tmp/init
    pg_ctl --wait --options="-c listen_addresses='' -c unix_socket_directories=/tmp/init" --log=/tmp/init/log start
    if [ "$database" != postgres ]; then
        createdb --host=/tmp/init --username="$user" "$database"
    fi
    pg_ctl --wait --mode=fast stop
fi

if [ "$1" = postgres ]; then
    shift
    set -- postgres -c listen_addresses='*' -c unix_socket_directories=/var/run/postgresql,/tmp "$@"
fi
exec "$@"
