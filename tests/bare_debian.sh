#!/bin/sh
# Does ./run pass on a machine that has nothing but Python and its venv module?
#
#   sudo sh tests/bare_debian.sh [test | demo] [--suite bookworm | trixie] [--keep]
#
# Builds a Debian 12 (bookworm) root with python3, python3-venv and ca-certificates and nothing else,
# puts a clone of the last commit into it under a folder with a space in its name, installs as an
# ordinary user, and then runs the command again in a network namespace that has only a loopback.
# Needs root, git, unshare, ip, and mmdebstrap or debootstrap
# (apt install mmdebstrap git util-linux iproute2). Not run by CI: it fetches some 40 MB from Debian
# and 500 MB from PyPI.
#
# This machine's own way of reaching a package index (PIP_* and certificate variables, pip.conf, the
# certificate bundle, resolv.conf) is lent to the root for the check and goes nowhere else.
set -eu

WHAT="test"
KEEP=
SUITE=bookworm
while [ $# -gt 0 ]; do
    case $1 in
    test | demo) WHAT=$1 ;;
    --keep) KEEP=yes ;;
    --suite)
        SUITE=${2:?--suite needs a name}
        shift
        ;;
    *)
        sed -n '2,4s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
    esac
    shift
done
[ "$(id -u)" = 0 ] || {
    echo "bare_debian.sh: must be root: it makes a root file system and enters it" >&2
    exit 2
}

HERE=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
TOP=$(mktemp -d "${TMPDIR:-/tmp}/bare-debian.XXXXXX")
BARE=$TOP/root
chmod 755 "$TOP"

# shellcheck disable=SC2317  # called by the trap
leave() {
    umount "$BARE/proc" "$BARE/dev/shm" "$BARE/dev" 2>/dev/null || true
    if [ -n "$KEEP" ]; then
        echo "kept: $BARE" >&2
    elif ! grep -q " $BARE/" /proc/mounts; then
        rm -rf "$TOP"
    fi
}
trap leave EXIT
trap 'exit 130' INT TERM

PACKAGES=python3,python3-venv,ca-certificates
if command -v mmdebstrap >/dev/null; then
    mmdebstrap --quiet --variant=minbase --include="$PACKAGES" "$SUITE" "$BARE"
else
    debootstrap --variant=minbase --include="$PACKAGES" "$SUITE" "$BARE" >"$TOP/debootstrap.log"
fi

# Lent for the check: name look-up, certificates, pip's own configuration.
for file in /etc/resolv.conf /etc/hosts /etc/ssl/certs/ca-certificates.crt /etc/pip.conf; do
    [ ! -f "$file" ] || install -D -m 644 "$file" "$BARE$file"
done
set --
for name in PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_CERT PIP_DEFAULT_TIMEOUT PIP_TRUSTED_HOST \
    SSL_CERT_FILE REQUESTS_CA_BUNDLE http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
    value=$(printenv "$name" || true)
    [ -z "$value" ] || set -- "$@" "$name=$value"
done

git clone --quiet "$HERE" "$BARE/home/an examiner/forensics"
chown -R 1000:1000 "$BARE/home/an examiner"
mount --bind /dev "$BARE/dev"
mkdir -p "$BARE/dev/shm"
mount -t tmpfs -o mode=1777 tmpfs "$BARE/dev/shm"
mount -t proc proc "$BARE/proc"

echo "== ./run setup"
start=$(date +%s)
chroot --userspec=1000:1000 "$BARE" /usr/bin/env -i PATH=/usr/local/bin:/usr/bin:/bin \
    HOME="/home/an examiner" LANG=C.UTF-8 "$@" \
    "/home/an examiner/forensics/run" setup
echo "== set-up took $(($(date +%s) - start)) s, .venv is $(du -sh "$BARE/home/an examiner/forensics/.venv" | cut -f1)"

echo "== ./run $WHAT (network cut: a namespace with only a loopback)"
start=$(date +%s)
status=0
unshare --net sh -c 'ip link set lo up && exec "$@"' sh \
    chroot --userspec=1000:1000 "$BARE" /usr/bin/env -i PATH=/usr/local/bin:/usr/bin:/bin \
    HOME="/home/an examiner" LANG=C.UTF-8 \
    /bin/sh -c 'cd "$HOME" && exec "$HOME/forensics/run" "$1"' sh "$WHAT" || status=$?
echo "== ./run $WHAT ended with $status after $(($(date +%s) - start)) s"
exit "$status"
