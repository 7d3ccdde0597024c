// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// The verbs transport beside a bare loop of the same work requests over a queue pair of its own, in turn, in the same run. It says what the adapter adds
// to a slice; on a device of software it says nothing about throughput. Counters: vs_floor is a ratio of the best times.

#include <benchmark/benchmark.h>

#if __has_include(<rdma/rdma_cma.h>)

#include <atomic>
#include <cstdlib>
#include <thread>

#include <lading/transports/verbs.hpp>

#include "paired.hpp"

namespace {

using namespace lading;

/// The floor: two queue pairs of this process, and chains of writes with one completion each.
struct bare_pair {
  bare_pair(std::size_t queue_depth, bytes_span from, bytes_span to) : depth(queue_depth), requests(queue_depth), parts(queue_depth) {
    auto device = lading::detail::verbs_device::open({});
    if (!device) std::abort();
    where = std::move(*device);
    domain.reset(ibv_alloc_pd(where->context()));
    constexpr int access = int{IBV_ACCESS_LOCAL_WRITE} | int{IBV_ACCESS_REMOTE_WRITE};
    source.reset(ibv_reg_mr(domain.get(), from.data(), from.size(), access));
    target.reset(ibv_reg_mr(domain.get(), to.data(), to.size(), access));
    ibv_qp_init_attr wanted{};
    queue.reset(ibv_create_cq(where->context(), static_cast<int>(depth) + 1, nullptr, nullptr, 0));
    wanted.send_cq = wanted.recv_cq = queue.get();
    wanted.qp_type = IBV_QPT_RC;
    wanted.cap = {.max_send_wr = static_cast<std::uint32_t>(depth), .max_recv_wr = 1, .max_send_sge = 1, .max_recv_sge = 1, .max_inline_data = 0};
    ibv_qp* pair[2] = {ibv_create_qp(domain.get(), &wanted), ibv_create_qp(domain.get(), &wanted)};
    if (pair[0] == nullptr || pair[1] == nullptr) std::abort();
    join(pair[0], pair[1]->qp_num);
    join(pair[1], pair[0]->qp_num);
    near = pair[0];
    far = pair[1];
  }
  ~bare_pair() {
    ibv_destroy_qp(near);
    ibv_destroy_qp(far);
  }
  /// Makes one end ready to send to the other, which is at the same address.
  void join(ibv_qp* one, std::uint32_t other) const {
    ibv_port_attr port{};
    const std::uint8_t number = where->anchor->port_num;
    if (ibv_query_port(where->context(), number, &port) != 0) std::abort();
    ibv_qp_attr all{};
    all.qp_state = IBV_QPS_INIT;
    all.port_num = number;
    all.qp_access_flags = IBV_ACCESS_REMOTE_WRITE;
    if (ibv_modify_qp(one, &all, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS) != 0) std::abort();
    all.qp_state = IBV_QPS_RTR;
    all.path_mtu = port.active_mtu;
    all.dest_qp_num = other;
    all.min_rnr_timer = 12;
    all.ah_attr.port_num = number;
    all.ah_attr.dlid = port.lid;
    all.ah_attr.is_global = 1;
    all.ah_attr.grh.hop_limit = 64;
    std::memcpy(all.ah_attr.grh.dgid.raw, where->address.host.data(), 16);
    std::vector<ibv_gid_entry> table(static_cast<std::size_t>(port.gid_tbl_len));
    const auto count = ibv_query_gid_table(where->context(), table.data(), table.size(), 0);
    for (ssize_t i = 0; i < count; ++i) {
      const ibv_gid_entry& entry = table[static_cast<std::size_t>(i)];
      if (entry.port_num == number && std::memcmp(entry.gid.raw, where->address.host.data(), 16) == 0)
        all.ah_attr.grh.sgid_index = static_cast<std::uint8_t>(entry.gid_index);
    }
    if (ibv_modify_qp(
            one, &all,
            IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER) != 0)
      std::abort();
    all.qp_state = IBV_QPS_RTS;
    all.timeout = 14;
    all.retry_cnt = all.rnr_retry = 7;
    if (ibv_modify_qp(one, &all, IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC) != 0)
      std::abort();
  }
  void put(std::size_t count, std::size_t size) {
    // Safety: the hardware takes addresses as numbers.
    const auto from = reinterpret_cast<std::uintptr_t>(source->addr), to = reinterpret_cast<std::uintptr_t>(target->addr);
    for (std::size_t done = 0; done < count;) {
      const std::size_t chain = std::min(depth, count - done);
      for (std::size_t i = 0; i < chain; ++i) {
        const std::size_t at = (done + i) * size;
        parts[i] = {from + at, static_cast<std::uint32_t>(size), source->lkey};
        ibv_send_wr& each = requests[i];
        each.next = i + 1 < chain ? &requests[i + 1] : nullptr;
        each.sg_list = &parts[i];
        each.num_sge = 1;
        each.opcode = IBV_WR_RDMA_WRITE;
        each.send_flags = i % 64 == 63 || i + 1 == chain ? static_cast<unsigned>(IBV_SEND_SIGNALED) : 0u;
        each.wr.rdma.remote_addr = to + at;
        each.wr.rdma.rkey = target->rkey;
      }
      ibv_send_wr* bad = nullptr;
      if (ibv_post_send(near, requests.data(), &bad) != 0) std::abort();
      ibv_wc over[16];
      for (std::size_t left = (chain + 63) / 64; left != 0;) {
        const int got = ibv_poll_cq(queue.get(), 16, over);
        for (int i = 0; i < got; ++i) {
          if (over[i].status != IBV_WC_SUCCESS) std::abort();
          --left;
        }
      }
      done += chain;
    }
  }

  std::shared_ptr<lading::detail::verbs_device> where;
  lading::detail::verbs_domain domain;
  lading::detail::verbs_queue queue;
  lading::detail::verbs_registration source, target;
  ibv_qp *near = nullptr, *far = nullptr;
  std::size_t depth;
  std::vector<ibv_send_wr> requests;
  std::vector<ibv_sge> parts;
};

struct fixture {
  explicit fixture(std::size_t size, std::size_t window)
      : near(verbs::create({.window = window}).value()),
        far(verbs::create({}).value()),
        source(near.allocate_region(size).value()),
        target(far.allocate_region(size).value()) {
    auto running = std::thread([&] { peer = near.connect(far.address().value()).value(), connected = true; });
    while (!connected) far.progress();
    running.join();
    imported = near.import_region(peer, far.export_region(target).value()).value();
  }
  completion put(const prepared_batch& batch) {
    auto running = near.submit(batch).value();
    const completion how = running.wait();
    if (!how.ok()) std::abort();
    return how;
  }

  std::atomic<bool> connected{false};
  verbs near, far;
  region source, target;
  peer_id peer{};
  remote_region_id imported{};
};

/// A batch of puts of the adapter's side, prepared.
prepared_batch prepare(fixture& sides, std::size_t count, std::size_t size) {
  std::vector<slice> slices;
  for (std::size_t i = 0; i < count; ++i) slices.push_back({sides.source.id(), sides.imported, i * size, i * size, size});
  return sides.near.prepare(sides.peer, op::put, slices).value();
}

void puts(benchmark::State& state) {
  if (const auto device = verbs::create(); !device) return state.SkipWithError(device.error().message().c_str());
  const auto count = static_cast<std::size_t>(state.range(0)), size = static_cast<std::size_t>(state.range(1));
  fixture sides(count * size, 512);
  bare_pair bare(512, sides.source.bytes(), sides.target.bytes());
  const auto batch = prepare(sides, count, size);
  paired::compare(
      state, [&] { sides.put(batch); }, [&] { bare.put(count, size); });
  state.counters["more_ns_per_slice"] = (state.counters["best_ns"] - state.counters["floor_ns"]) / static_cast<double>(count);
}
BENCHMARK(puts)->ArgNames({"slices", "bytes"})->Args({1, 8})->Args({64, 8})->Args({512, 8})->Args({1, 1 << 16})->UseManualTime();

/// The time that submit takes for a large prepared batch, all of which the window holds.
void posts(benchmark::State& state) {
  if (const auto device = verbs::create(); !device) return state.SkipWithError(device.error().message().c_str());
  const auto count = static_cast<std::size_t>(state.range(0));
  fixture sides(count * 8, count);
  const auto batch = prepare(sides, count, 8);
  double posted = 0;
  for (auto _ : state) {
    posted = static_cast<double>(sides.put(batch).posted.count());
    state.SetIterationTime(posted * 1e-9);
  }
  state.counters["post_ns_per_slice"] = posted / static_cast<double>(count);
}
BENCHMARK(posts)->ArgName("slices")->Arg(16'384)->Iterations(1)->UseManualTime();

}  // namespace

#endif
