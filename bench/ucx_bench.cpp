// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// The ucx transport beside a bare loop of the same active messages and answers over UCX itself, in turn, in the same run, both sides in one thread.
// UCX_TLS chooses the lanes of both. Counters: vs_floor is a ratio of the best times.

#include <benchmark/benchmark.h>

#if __has_include(<ucp/api/ucp.h>)

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <thread>

#include <lading/transports/ucx.hpp>

#include "paired.hpp"

namespace {

using lading::detail::ucx_worker;

/// One side of the floor: takes messages into its memory, and answers the last of each round.
struct bare_side {
  explicit bare_side(std::size_t size) : memory(size) {
    if (!worker.open({{}, {}, {}}, &bare_side::take, this)) std::abort();
  }
  void connect(bare_side& to) {
    const auto address = to.worker.address().value();
    ucp_ep_params_t params{};
    params.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS | UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE | UCP_EP_PARAM_FIELD_ERR_HANDLER;
    // Safety: these are the bytes of a worker's address.
    params.address = reinterpret_cast<const ucp_address_t*>(address.data());
    params.err_mode = UCP_ERR_HANDLING_MODE_PEER;
    params.err_handler.cb = [](void*, ucp_ep_h, ucs_status_t) {};
    if (ucp_ep_create(worker.get(), &params, &ep) != UCS_OK) std::abort();
  }
  void send(const std::byte* data, std::size_t size) {
    ucp_request_param_t params{};
    params.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK;
    params.cb.send = [](void* request, ucs_status_t, void*) { ucp_request_free(request); };
    if (UCS_PTR_IS_ERR(ucp_am_send_nbx(ep, ucx_worker::message_id, head, sizeof head, data, size, &params))) std::abort();
  }
  static ucs_status_t take(void* self, const void*, std::size_t, void* data, std::size_t size, const ucp_am_recv_param_t* how) {
    auto& side = *static_cast<bare_side*>(self);
    if ((how->recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV) == 0) {
      if (size != 0) std::memcpy(side.memory.data() + side.at, data, size);
      side.taken(size);
      return UCS_OK;
    }
    ucp_request_param_t params{};
    params.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA;
    params.cb.recv_am = [](void* request, ucs_status_t, std::size_t length, void* argument) {
      ucp_request_free(request);
      static_cast<bare_side*>(argument)->taken(length);
    };
    params.user_data = self;
    const auto posted = ucp_am_recv_data_nbx(side.worker.get(), data, side.memory.data(), size, &params);
    if (!UCS_PTR_IS_PTR(posted)) side.taken(size);
    return UCS_OK;
  }
  void taken(std::size_t size) {
    at += size;
    if (++count == expected) at = 0, count = 0, done = true;
  }

  ucx_worker worker;
  ucp_ep_h ep = nullptr;
  std::vector<std::byte> memory;
  std::size_t at = 0, count = 0, expected = 1;
  bool done = false;
  char head[lading::detail::ucx_head::wire_size] = {};
};

struct fixture {
  explicit fixture(std::size_t size) : bare_near(size), bare_far(size), near(lading::ucx::create().value()), far(lading::ucx::create().value()) {
    bare_near.connect(bare_far);
    bare_far.connect(bare_near);
    source = near.allocate_region(size).value();
    target = far.allocate_region(size).value();
    auto running = std::thread([&] { peer = near.connect(far.address().value()).value(), connected = true; });
    while (!connected) far.progress();
    running.join();
    imported = near.import_region(peer, far.export_region(target).value()).value();
  }
  void put(const lading::prepared_batch& batch) {
    auto running = near.submit(batch).value();
    while (!running.ready()) near.progress(), far.progress();
    if (!running.how().ok()) std::abort();
  }
  void bare_put(std::size_t count, std::size_t size) {
    bare_far.expected = count;
    bare_near.done = bare_far.done = false;
    for (std::size_t i = 0; i < count; ++i) {
      bare_near.send(source.data() + i * size, size);
      if (i % 32 == 31) bare_far.worker.progress();
    }
    while (!bare_far.done) bare_near.worker.progress(), bare_far.worker.progress();
    bare_far.send(nullptr, 0);
    while (!bare_near.done) bare_near.worker.progress(), bare_far.worker.progress();
  }

  bare_side bare_near, bare_far;
  lading::ucx near, far;
  lading::region source, target;
  std::atomic<bool> connected{false};
  lading::peer_id peer{};
  lading::remote_region_id imported{};
};

void puts(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0)), size = static_cast<std::size_t>(state.range(1));
  fixture sides(count * size);
  std::vector<lading::slice> slices;
  for (std::size_t i = 0; i < count; ++i) slices.push_back({sides.source.id(), sides.imported, i * size, i * size, size});
  const auto batch = sides.near.prepare(sides.peer, lading::op::put, slices).value();
  paired::compare(
      state, [&] { sides.put(batch); }, [&] { sides.bare_put(count, size); });
  state.counters["more_ns_per_slice"] = (state.counters["best_ns"] - state.counters["floor_ns"]) / static_cast<double>(count);
}
BENCHMARK(puts)->ArgNames({"slices", "bytes"})->Args({1, 64 << 10})->Args({1, 16 << 20})->Args({64, 64 << 10})->Args({4096, 1024})->UseManualTime();

}  // namespace

#endif
