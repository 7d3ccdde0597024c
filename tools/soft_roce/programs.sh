# Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# What the guest runs; a program that is not aboard is left out.

run() { # NAME PROGRAM ARGUMENT...
  name=$1
  shift
  [ -x "/bin/$1" ] || return 0
  echo "@@ begin $name"
  "$@" </dev/null
  echo "@@ end $name $?"
}

# What a filter leaves out of the suite over rc. The bench is left out by the host.
left_out() { # NAME PROGRAM FILTER
  [ -x "/bin/$2" ] || return 0
  kept=$("$2" --gtest_list_tests --gtest_filter="$3")
  "$2" --gtest_list_tests --gtest_filter='chosen.*' | grep -vxF "$kept" | sed "s/^ */@@ left out $1 /"
}

export GTEST_COLOR=no
some=
if [ -e /etc/quick ]; then
  export LADING_CONFORMANCE_QUICK=1
  # One of each kind: over rc, a pair of endpoints takes seconds to make.
  for each in puts_every_size gets_every_size a_notification_comes_after_its_bytes slices_out_of_range a_remote_region_of_an_older_generation \
    closed_during reconnecting bytes_go_there_and_come_back killed_during stopped_until_the_deadline; do
    some="$some:chosen.$each"
  done
fi
run verbs lading_verbs_test

# UCX checks addresses in a way that soft-RoCE fails, takes half a minute to tell of a dead peer, and registers more buffers than an emulated processor
# can make in a moment.
export LADING_UCX_LANES=rc,self UCX_NET_DEVICES=rxe0:1 UCX_IB_GID_INDEX=1 UCX_UD_VERBS_ETH_DGID_CHECK=n
export UCX_RC_VERBS_TIMEOUT=20ms UCX_RC_VERBS_RETRY_COUNT=3
export UCX_RC_VERBS_RX_QUEUE_LEN=64 UCX_UD_VERBS_RX_QUEUE_LEN=64 UCX_IB_SEG_SIZE=4096
# Left out: UCX 1.13 aborts the program where a connection over rc is given up before the peer has answered the first message.
some=ucx_devices.*:${some:-chosen.*-*nobody_at_the_address}
left_out ucx_rc lading_ucx_test "$some"
run ucx_rc lading_ucx_test --gtest_filter="$some"

run verbs_bench lading_verbs_bench --benchmark_min_time=0.05 --benchmark_counters_tabular=true --benchmark_color=false 2>/dev/null
