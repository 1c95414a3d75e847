#!/bin/sh
# Makes the root folder of a container image with nothing but the system's Python, and a folder of packages for it:
# image.sh FOLDER [PACKAGES]
set -eu
image=$1
packages=${2:-}
python=$(realpath /usr/bin/python3)
library=/usr/lib/$(basename "$python")

copy() {
    for path in "$@"; do
        mkdir -p "$image$(dirname "$path")"
        cp --archive --dereference "$path" "$image$path"
    done
}

copy "$python"
mkdir -p "$image$library" "$image/tmp" "$image/proc" "$image/dev" "$image/sys" "$image/etc"
echo 'hosts: files dns' > "$image/etc/nsswitch.conf"
tar --directory="$library" --create --exclude=test --exclude='config-*' --exclude=dist-packages . |
    tar --directory="$image$library" --extract
if [ -n "$packages" ]; then
    mkdir -p "$image/usr/lib/python3/dist-packages"
    cp --archive "$packages/." "$image/usr/lib/python3/dist-packages"
fi
ln --symbolic --force "$python" "$image/usr/bin/python3"
# The libraries that all of it needs.
find "$image" -name '*.so*' -o -path "$image$python" | xargs ldd 2>/dev/null |
    grep --only-matching --extended-regexp '/[^ :]+' | grep --invert-match "^$image" | sort --unique |
    while read -r path; do [ -e "$image$path" ] || copy "$path"; done
