#!/bin/bash
# init.sh STATE: process 1 of the node. Sets up its mounts and network, writes its pid as the machine knows it to
# STATE/init.pid, and buries orphans.
set -eu
state=$1

# /proc is still the machine's here, so this is the machine's number of this process.
read -r pid _ </proc/self/stat

hostname node1
mount --make-rshared /
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
while IFS=: read -r _ controllers _; do
  [ -z "$controllers" ] && continue
  mkdir -p "/sys/fs/cgroup/${controllers#name=}"
  mount -t cgroup -o "$controllers" cgroup "/sys/fs/cgroup/${controllers#name=}"
done </proc/self/cgroup

# Whatever containerd, the kubelet and the network plugins write lands in STATE.
mount -t tmpfs -o mode=755 run /run
mkdir -p /run/lock /run/manifests /run/cni/net.d "$state/var/lib" "$state/var/log"
mount --bind "$state/var/lib" /var/lib
mount --bind "$state/var/log" /var/log
cp "$state/node/10-bridge.conflist" /run/cni/net.d/

# The kubelet wants these settings and would change them for the whole machine: it is given files instead.
stand_in() {
  echo "$2" >"/run/sysctl-${1##*/}"
  mount --bind "/run/sysctl-${1##*/}" "$1"
}
stand_in /proc/sys/vm/overcommit_memory 1
stand_in /proc/sys/kernel/panic 10
stand_in /proc/sys/kernel/panic_on_oops 1
stand_in /proc/sys/kernel/keys/root_maxkeys 1000000
stand_in /proc/sys/kernel/keys/root_maxbytes 25000000

# A network of its own: the node's address lives on a bridge without ports; nothing leads outside.
ip link set lo up
ip link add node0 type bridge
ip address add 192.168.77.2/24 dev node0
ip link set node0 up
ip route add default dev node0
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables
echo 'nameserver 192.168.77.2' >/run/resolv.conf

echo "$pid" >"$state/init.pid.new"
mv "$state/init.pid.new" "$state/init.pid"
while :; do
  sleep 3600 &
  wait $! || true
done
