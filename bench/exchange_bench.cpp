// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// A store, its server in a thread of its own, beside its floor in the same run: over loopback memcpy of the same bytes, over ucx bare UCX messages of the same
// sizes, both sides in one thread. UCX_TLS chooses the lanes of both. Counters: vs_floor is a ratio of the best times, GB/s and floor_GB/s those of the
// best; copies are those of payloads for each value, besides the transfer.
// The last ones compare the exchange with itself: more workers with one, and tiny slices staged with tiny slices as they are.

#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <paired.hpp>

#include <lading/codec/tensor/wire.hpp>
#include <lading/exchange/client.hpp>
#include <lading/exchange/server.hpp>
#include <lading/exchange/service.hpp>
#include <lading/transports/loopback.hpp>

#if __has_include(<ucp/api/ucp.h>)
#include <lading/transports/ucx.hpp>

#include <bare_ucx.hpp>
#endif

namespace {

using lading::bytes_span;
using lading::bytes_view;

std::vector<std::string> keys(std::size_t count) {
  std::vector<std::string> all;
  for (std::size_t i = 0; i < count; ++i) all.push_back("key/" + std::to_string(i));
  return all;
}
void require(const auto& results) {
  for (const auto& each : results) {
    if (!each) std::abort();
  }
}

/// Over loopback: between two parts of a process, by memcpy.
struct over_loopback {
  using transport = lading::loopback;
  using selector = lading::select_by_process;
  static transport make() { return transport::create().value(); }

  class floor {
   public:
    explicit floor(std::size_t bytes) : target_(bytes) {}
    void move(bytes_view from, std::size_t count) {
      const std::size_t size = from.size() / count;
      for (std::size_t i = 0; i < count; ++i) std::memcpy(target_.data() + i * size, from.data() + i * size, size);
    }

   private:
    std::vector<std::byte> target_;
  };
};

#if __has_include(<ucp/api/ucp.h>)

/// Over ucx, as between two processes: nothing is copied past it.
struct over_ucx {
  using transport = lading::ucx;
  using selector = lading::select_always;
  static transport make() { return transport::create().value(); }

  class floor {
   public:
    explicit floor(std::size_t bytes) : near_(bytes), far_(bytes) {
      near_.connect(far_);
      far_.connect(near_);
    }
    void move(bytes_view from, std::size_t count) { bare::send_and_wait(near_, far_, from.data(), count, from.size() / count); }

   private:
    bare::messages near_, far_;
  };
};

#endif

template <class Over>
struct fixture {
  using transport = typename Over::transport;
  using server_type = lading::store_server<transport, typename Over::selector>;
  using client_type = lading::store_client<transport, typename Over::selector>;

  fixture() : server(server_type::create(Over::make(), {.memory = {.capacity = 512 << 20, .slab_size = 128 << 20}}).value()), service(*server) {}
  [[nodiscard]] std::unique_ptr<client_type> client(std::size_t batch_workers = 0, std::size_t serial_workers = 0) const {
    return client_type::connect(
               Over::make(), server->address(),
               {.memory = {.capacity = 128 << 20, .slab_size = 128 << 20}, .batch_workers = batch_workers, .serial_workers = serial_workers})
        .value();
  }

  std::unique_ptr<server_type> server;
  lading::store_service<server_type> service;
};

void report(benchmark::State& state, const lading::exchange_metrics& seen, lading::payload_path way, std::size_t bytes, std::size_t values) {
  state.counters["GB/s"] = static_cast<double>(bytes) / state.counters["best_ns"];
  state.counters["floor_GB/s"] = static_cast<double>(bytes) / state.counters["floor_ns"];
  const auto path = seen.at(way);
  state.counters["copies"] = path.values == 0 ? -1.0 : static_cast<double>(path.copies) / static_cast<double>(path.values);
  state.counters["us/value"] = state.counters["best_ns"] / 1e3 / static_cast<double>(values);
}

struct tensors {
  explicit tensors(std::size_t size)
      : count(std::max<std::size_t>(std::min<std::size_t>((std::size_t{64} << 20) / size, 256), 1)), names(keys(count)), source(size * count) {
    for (std::size_t i = 0; i < count; ++i) {
      values.push_back(lading::tensor::zeros(lading::dtype::uint8, {static_cast<std::int64_t>(size)}).value());
      targets.push_back(lading::tensor::zeros(lading::dtype::uint8, {static_cast<std::int64_t>(size)}).value());
      std::memset(values.back().data(), static_cast<int>(i), size);
      buffers.push_back(targets.back().bytes());
    }
  }

  std::size_t count;
  std::vector<std::string> names;
  std::vector<std::byte> source;  // of the floor
  std::vector<lading::tensor> values, targets;
  std::vector<bytes_span> buffers;
};

enum class call { put, get_into, view };

template <class Over>
void tensors_of(benchmark::State& state, call what) {
  const fixture<Over> all;
  const auto client = all.client();
  const auto size = static_cast<std::size_t>(state.range(0));
  tensors some(size);
  typename Over::floor floor(size * some.count);
  require(client->put_batch(some.names, some.values, {.mode = lading::put_mode::replace}));
  const bool large = size >= lading::store_client_options{}.in_place_from;
  lading::payload_path way = lading::payload_path::get_viewed;
  if (what == call::put) way = large ? lading::payload_path::put_in_place : lading::payload_path::put_staged;
  if (what == call::get_into) way = large ? lading::payload_path::get_in_place : lading::payload_path::get_staged;
  paired::compare(
      state,
      [&] {
        if (what == call::put) require(client->put_batch(some.names, some.values, {.mode = lading::put_mode::replace}));
        if (what == call::get_into) require(client->get_batch_into(some.names, some.buffers));
        if (what == call::view) require(client->template view_batch<lading::tensor_view>(some.names));
      },
      [&] { floor.move(some.source, some.count); });
  report(state, client->metrics(), way, size * some.count, some.count);
}

struct nested {
  std::uint64_t id = 0;
  std::string name;
  std::vector<float> weights;
  std::vector<std::string> tags;
};
struct nested_values {
  nested_values() {
    for (std::size_t i = 0; i < names.size(); ++i) {
      values.push_back({i, "value " + std::to_string(i), std::vector<float>(1000, 1.f), {"one", "two"}});
      bytes += lading::encoded_size(values.back());
    }
    bytes -= bytes % names.size();
  }
  std::vector<std::string> names = keys(1024);
  std::vector<nested> values;
  std::size_t bytes = 0;
};

template <class Over>
void values_of(benchmark::State& state, call what) {
  const fixture<Over> all;
  const auto client = all.client();
  const nested_values some;
  const std::vector<std::byte> source(some.bytes);
  typename Over::floor floor(some.bytes);
  require(client->put_batch(some.names, some.values));
  paired::compare(
      state,
      [&] {
        if (what == call::put) require(client->put_batch(some.names, some.values, {.mode = lading::put_mode::replace}));
        if (what == call::get_into) require(client->template get_batch<nested>(some.names));
      },
      [&] { floor.move(source, some.names.size()); });
  report(state, client->metrics(), what == call::put ? lading::payload_path::put_encoded : lading::payload_path::get_decoded, some.bytes,
         some.names.size());
}

/// What takes longer to encode, and to decode, than to move.
struct texts {
  std::vector<std::string> words;
};

/// vs_floor is what batch_workers x serial_workers take beside one thread; 0 x 0 is what a client takes unless told.
template <class Over>
void workers(benchmark::State& state, call what) {
  const fixture<Over> all;
  const auto many = all.client(static_cast<std::size_t>(state.range(0)), static_cast<std::size_t>(state.range(1))), one = all.client(1, 1);
  const std::vector<std::string> names = keys(1024);
  const std::vector<texts> values(names.size(), texts{std::vector<std::string>(100, "a word that is not short")});
  require(many->put_batch(names, values));
  const auto run = [&](auto& client) {
    if (what == call::put) require(client->put_batch(names, values, {.mode = lading::put_mode::replace}));
    if (what == call::get_into) require(client->template get_batch<texts>(names));
  };
  paired::compare(
      state, [&] { run(many); }, [&] { run(one); });
  state.counters["us/value"] = state.counters["best_ns"] / 1e3 / static_cast<double>(names.size());
}

/// 256 scattered slices to, or from, one place at the peer, both sides in one thread: vs_floor is what they take staged beside as they are.
template <class Over>
void staging(benchmark::State& state, lading::op direction) {
  using submitter = lading::basic_submitter<typename Over::transport, lading::select_always>;
  constexpr std::size_t count = 256;
  const auto size = static_cast<std::uint64_t>(state.range(0));
  typename Over::transport near = Over::make(), far = Over::make();
  lading::exchange_meter<> meter;
  auto plain = submitter::create(near, meter, {.stage_below = 0}).value(), staged = submitter::create(near, meter, {.stage_below = size + 1}).value();
  lading::region here = near.allocate_region(count * (size + 64)).value(), there = far.allocate_region(count * size).value();
  {
    lading::shared_region shared = plain.share(here).value(), known = staged.share(here).value();
    lading::peer_id peer{};
    std::atomic<bool> connected{false};
    std::thread connecting([&] { peer = near.connect(far.address().value()).value(), connected = true; });
    while (!connected) far.progress();
    connecting.join();
    const lading::remote_region_id imported = plain.import_region(peer, far.export_region(there).value()).value();
    std::vector<lading::exchange_item> items;
    for (std::size_t i = 0; i < count; ++i) items.push_back({peer, {here.id(), imported, i * (size + 64), i * size, size}});
    const auto run = [&](submitter& by) {
      auto moving = by.submit(items, direction);
      while (!moving.is_ready()) near.progress(), far.progress();
      require(moving.get());
    };
    paired::compare(
        state, [&] { run(staged); }, [&] { run(plain); });
    near.disconnect(peer);
  }
  state.counters["ns/slice"] = state.counters["best_ns"] / count;
}

template <class Over>
void add(const std::string& over) {
  const auto of = [&](const char* name, auto&& run, auto... what) {
    return benchmark::RegisterBenchmark((over + '/' + name).c_str(), run, what...)->UseManualTime();
  };
  for (const auto& [name, what] :
       {std::pair("put_tensors", call::put), std::pair("get_tensors", call::get_into), std::pair("view_tensors", call::view)}) {
    of(name, tensors_of<Over>, what)->ArgName("bytes")->Arg(4 << 10)->Arg(64 << 10)->Arg(4 << 20)->Arg(64 << 20);
  }
  of("put_nested", values_of<Over>, call::put);
  of("get_nested", values_of<Over>, call::get_into);
  for (const auto& [name, what] : {std::pair("put_workers", call::put), std::pair("get_workers", call::get_into)}) {
    auto* const made = of(name, workers<Over>, what)->ArgNames({"batch", "serial"});
    for (const auto& [batch, serial] : {std::pair(0, 0), std::pair(1, 1), std::pair(1, 2), std::pair(2, 1), std::pair(2, 2), std::pair(4, 4)}) {
      made->Args({batch, serial});
    }
  }
  for (const auto& [name, direction] : {std::pair("put_staged", lading::op::put), std::pair("get_staged", lading::op::get)}) {
    auto* const made = of(name, staging<Over>, direction)->ArgName("bytes");
    for (const int size : {8, 64, 256, 1024, 4096, 16384}) made->Arg(size);
  }
}
[[maybe_unused]] const bool all_are_added = [] {
  add<over_loopback>("loopback");
#if __has_include(<ucp/api/ucp.h>)
  add<over_ucx>("ucx");
#endif
  return true;
}();

}  // namespace
