#!/bin/sh
# Ends what runs in the cluster's containers, and leaves nothing of it: end.sh FOLDER
folder=$1
ctr="ctr --address $folder/containerd.sock --namespace k8s.io"
for task in $($ctr tasks list --quiet); do $ctr tasks kill --signal KILL "$task"; done
sleep 1
for container in $($ctr containers list --quiet); do $ctr tasks delete --force "$container"; $ctr containers delete "$container"; done
awk -v folder="$folder" 'index($2, folder) == 1 { print $2 }' /proc/mounts | sort --reverse | xargs --no-run-if-empty umount --lazy
find /sys/fs/cgroup/*/kubepods /sys/fs/cgroup/kubepods -depth -type d -exec rmdir {} + 2>/dev/null
exit 0
