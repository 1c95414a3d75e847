#!/bin/sh
# Runs a command under another root folder, which sees this folder and what the lab shows of the host:
# in_root.sh ROOT PROGRAM [ARGUMENT]...
set -eu
root=$1
shift
if [ -z "${IN_ROOT:-}" ]; then
    # The mounts end with the command.
    exec env IN_ROOT=1 unshare --mount "$0" "$root" "$@"
fi
unset IN_ROOT
project=$(cd "$(dirname "$0")/../.." && pwd)
for folder in /proc /dev /tmp /etc/ssl/certs "$project"; do
    mkdir -p "$root$folder"
    mount --rbind "$folder" "$root$folder"
done
for file in /etc/resolv.conf /etc/nsswitch.conf; do
    touch "$root$file"
    mount --bind "$file" "$root$file"
done
exec chroot "$root" env --chdir="$PWD" "$@"
