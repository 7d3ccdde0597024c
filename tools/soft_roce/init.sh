#!/bin/busybox sh
# shellcheck shell=dash disable=SC1091
# Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#
# The guest's first process: makes a RoCE device of software on a network device of software, runs programs.sh, and turns the machine off.
# What the host is to look at are the lines that begin with @@.

/bin/busybox mkdir -p /sbin /usr/bin /dev /proc /sys /tmp
/bin/busybox --install -s /bin
export PATH=/bin HOME=/tmp TERM=dumb
mount -t devtmpfs devtmpfs /dev
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mkdir -p /dev/shm
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp

while read -r module; do
  insmod "/modules/$module.ko" 2>/dev/null || echo "@@ note module $module was not loaded"
done </etc/modules

# Soft-RoCE loses the packets that it sends over lo. With 4200, a RoCE message of 4096 bytes is one packet.
[ -e /sys/class/net/dummy0 ] || ip link add dummy0 type dummy
ip link set lo up
ip addr add 10.9.9.1/24 dev dummy0
ip link set dummy0 mtu 4200 up
rdma link add rxe0 type rxe netdev dummy0 || echo "@@ note the RoCE device could not be made"
ulimit -l unlimited

echo "@@ up $(cut -d ' ' -f 1 /proc/uptime)"
. /etc/programs.sh
dmesg | grep -E 'BUG:|WARNING:|segfault|Oops' | sed 's/^/@@ note kernel: /'
echo "@@ over"
poweroff -f
