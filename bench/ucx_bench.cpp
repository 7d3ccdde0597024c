// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// The ucx transport beside a bare loop over UCX itself, in turn, in the same run, both sides in one thread: messages beside the same active messages and
// answers; shared regions beside ucp_put_nbx into memory that UCX allocated, and a flush.
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

/// Puts into another worker's memory, as UCX itself does it.
class bare_put_loop {
 public:
  explicit bare_put_loop(std::size_t size) {
    for (side* each : {&near_, &far_}) {
      ucp_params_t params{};
      params.field_mask = UCP_PARAM_FIELD_FEATURES;
      params.features = UCP_FEATURE_RMA;
      ucp_worker_params_t worker{};
      if (ucp_init(&params, nullptr, &each->context) != UCS_OK || ucp_worker_create(each->context, &worker, &each->worker) != UCS_OK) std::abort();
    }
    ucp_mem_map_params_t wanted{};
    wanted.field_mask = UCP_MEM_MAP_PARAM_FIELD_LENGTH | UCP_MEM_MAP_PARAM_FIELD_FLAGS;
    wanted.length = size;
    wanted.flags = UCP_MEM_MAP_ALLOCATE;
    ucp_mem_attr_t found{};
    found.field_mask = UCP_MEM_ATTR_FIELD_ADDRESS;
    if (ucp_mem_map(far_.context, &wanted, &memory_) != UCS_OK || ucp_mem_query(memory_, &found) != UCS_OK) std::abort();
    // Safety: the address of memory that UCX allocated here.
    target_ = reinterpret_cast<std::uintptr_t>(found.address);
    std::memset(found.address, 0, size);
    ucp_address_t* address = nullptr;
    std::size_t length = 0;
    void* packed = nullptr;
    if (ucp_worker_get_address(far_.worker, &address, &length) != UCS_OK) std::abort();
    ucp_ep_params_t params{};
    params.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS;
    params.address = address;
    if (ucp_ep_create(near_.worker, &params, &ep_) != UCS_OK || ucp_rkey_pack(far_.context, memory_, &packed, &length) != UCS_OK ||
        ucp_ep_rkey_unpack(ep_, packed, &key_) != UCS_OK) {
      std::abort();
    }
    ucp_rkey_buffer_release(packed);
    ucp_worker_release_address(far_.worker, address);
  }
  bare_put_loop(const bare_put_loop&) = delete;
  bare_put_loop& operator=(const bare_put_loop&) = delete;
  ~bare_put_loop() {
    ucp_rkey_destroy(key_);
    finish(ucp_ep_close_nb(ep_, UCP_EP_CLOSE_MODE_FORCE));
    ucp_mem_unmap(far_.context, memory_);
    for (const side* each : {&near_, &far_}) ucp_worker_destroy(each->worker), ucp_cleanup(each->context);
  }
  void put(const std::byte* source, std::size_t count, std::size_t size) {
    const ucp_request_param_t params{};
    for (std::size_t i = 0; i < count; ++i) {
      const auto posted = ucp_put_nbx(ep_, source + i * size, size, target_ + i * size, key_, &params);
      if (UCS_PTR_IS_PTR(posted)) ucp_request_free(posted);
    }
    finish(ucp_ep_flush_nbx(ep_, &params));
  }

 private:
  struct side {
    ucp_context_h context = nullptr;
    ucp_worker_h worker = nullptr;
  };
  void finish(ucs_status_ptr_t request) {
    if (!UCS_PTR_IS_PTR(request)) return;
    while (ucp_request_check_status(request) == UCS_INPROGRESS) ucp_worker_progress(near_.worker), ucp_worker_progress(far_.worker);
    ucp_request_free(request);
  }

  side near_, far_;
  ucp_mem_h memory_ = nullptr;
  ucp_ep_h ep_ = nullptr;
  ucp_rkey_h key_ = nullptr;
  std::uint64_t target_ = 0;
};

struct fixture {
  fixture(std::size_t size, bool shares)
      : bare_near(size), bare_far(size), near(lading::ucx::create().value()), far(lading::ucx::create({.share_regions = shares}).value()) {
    bare_near.connect(bare_far);
    bare_far.connect(bare_near);
    source = near.allocate_region(size).value();
    target = far.allocate_region(size).value();
    std::memset(source.data(), 1, size);
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

std::vector<lading::slice> slices_of(const fixture& sides, std::size_t count, std::size_t size) {
  std::vector<lading::slice> slices;
  for (std::size_t i = 0; i < count; ++i) slices.push_back({sides.source.id(), sides.imported, i * size, i * size, size});
  return slices;
}

void puts_by_messages(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0)), size = static_cast<std::size_t>(state.range(1));
  fixture sides(count * size, false);
  const auto batch = sides.near.prepare(sides.peer, lading::op::put, slices_of(sides, count, size)).value();
  paired::compare(
      state, [&] { sides.put(batch); }, [&] { sides.bare_put(count, size); });
  state.counters["more_ns_per_slice"] = (state.counters["best_ns"] - state.counters["floor_ns"]) / static_cast<double>(count);
}
BENCHMARK(puts_by_messages)
    ->ArgNames({"slices", "bytes"})
    ->Args({1, 64 << 10})
    ->Args({1, 16 << 20})
    ->Args({64, 64 << 10})
    ->Args({4096, 1024})
    ->Iterations(200)
    ->UseManualTime();

void puts_into_shared_regions(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0)), size = static_cast<std::size_t>(state.range(1));
  fixture sides(count * size, true);
  bare_put_loop bare(count * size);
  const auto batch = sides.near.prepare(sides.peer, lading::op::put, slices_of(sides, count, size)).value();
  if (!sides.near.submit(batch).value().ready()) return state.SkipWithError("the region is not shared: UCX_TLS names no lane of shared memory");
  paired::compare(
      state, [&] { sides.put(batch); }, [&] { bare.put(sides.source.data(), count, size); });
  state.counters["more_ns_per_slice"] = (state.counters["best_ns"] - state.counters["floor_ns"]) / static_cast<double>(count);
}
BENCHMARK(puts_into_shared_regions)
    ->ArgNames({"slices", "bytes"})
    ->Args({1, 64 << 10})
    ->Args({1, 16 << 20})
    ->Args({64, 64 << 10})
    ->Args({4096, 1024})
    ->Args({16384, 64})
    ->Iterations(200)
    ->UseManualTime();

}  // namespace

#endif
