#!/bin/sh
# The network and the mounts of a node, for as long as this runs: namespaces.sh FOLDER SERVICE
set -eu
folder=$1
service=$2
ip link set lo up
ip address add "$service/32" dev lo
# The kubelet wants an address of its node that is not of 127.0.0.0/8.
ip address add 10.98.0.1/32 dev lo
# The kubelet writes logs there, whatever it is told; images are unpacked in memory, as overlays can't lie on overlays.
for path in /var/log/pods /var/log/containers "$folder/containerd"; do
    mkdir -p "$path"
    mount -t tmpfs tmpfs "$path"
done
echo ready >&2
exec sleep infinity
