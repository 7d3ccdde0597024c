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

export GTEST_COLOR=no
run verbs lading_verbs_test

# UCX checks addresses in a way that soft-RoCE fails, takes half a minute to tell of a dead peer, and registers more buffers than an emulated processor
# can make in a moment.
export LADING_UCX_LANES=rc,self UCX_NET_DEVICES=rxe0:1 UCX_IB_GID_INDEX=1 UCX_UD_VERBS_ETH_DGID_CHECK=n
export UCX_RC_VERBS_TIMEOUT=20ms UCX_RC_VERBS_RETRY_COUNT=3
export UCX_RC_VERBS_RX_QUEUE_LEN=256 UCX_UD_VERBS_RX_QUEUE_LEN=256 UCX_IB_SEG_SIZE=4096
# Left out: UCX 1.13 aborts the program where a connection over rc is given up before the peer has answered the first message.
run ucx_rc lading_ucx_test --gtest_filter='chosen.*-*nobody_at_the_address'

run verbs_bench lading_verbs_bench --benchmark_min_time=0.05 --benchmark_counters_tabular=true --benchmark_color=false 2>/dev/null
