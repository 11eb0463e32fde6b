# Shared by the scripts in this directory; source it, do not run it.
# Knows where things are kept and how to say what is going on, nothing about what they are.
# shellcheck shell=bash disable=SC2034

# Everything slow to make lives here, outside the tree, so that a fresh clone finds it again. (`./test quick` needs no root.)
if ((EUID == 0)); then
    CACHE=${MAINSTAY_TEST_CACHE:-/var/cache/mainstay-test}
else
    CACHE=${MAINSTAY_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mainstay-test}
fi
# Sockets and pid files: gone after a reboot, as they should be.
RUN=${MAINSTAY_TEST_RUN:-/run/mainstay-test}
BIN=$CACHE/bin

# say <text…>: one line with the time of day, on stderr so that stdout stays for answers.
say() { printf '%s %s\n' "$(date +%H:%M:%S)" "$*" >&2; }

die() {
    say "error: $*"
    exit 1
}

# phase <name> <command…>: runs the command and says how long it took.
phase() {
    local name=$1 from=$EPOCHREALTIME
    shift
    say "$name …"
    "$@"
    say "$name: $(seconds_since "$from")"
}

# seconds_since <EPOCHREALTIME>: "1.23 s"
seconds_since() {
    local now=$EPOCHREALTIME
    local us=$((${now/[.,]/} - ${1/[.,]/}))
    printf '%d.%02d s' $((us / 1000000)) $((us % 1000000 / 10000))
}

# await <seconds> <command…>: polls the command ten times a second until it succeeds.
await() {
    local tries=$(($1 * 10))
    shift
    until "$@" >/dev/null 2>&1; do
        ((tries-- > 0)) || return 1
        sleep 0.1
    done
}
