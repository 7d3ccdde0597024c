// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// A store over loopback, server in a thread of its own, beside memcpy of the same bytes. Counters: vs_floor is a ratio of the best times, GB/s that of
// the best; copies are those of payloads for each value, besides the transfer.

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <paired.hpp>

#include <lading/codec/tensor/wire.hpp>
#include <lading/exchange/client.hpp>
#include <lading/exchange/server.hpp>
#include <lading/exchange/service.hpp>
#include <lading/transports/loopback.hpp>

namespace {

using server_type = lading::store_server<lading::loopback>;
using client_type = lading::store_client<lading::loopback>;

struct fixture {
  explicit fixture(std::size_t batch_workers = 0, std::size_t serial_workers = 0)
      : server(server_type::create(lading::loopback::create().value(), {.memory = {.capacity = 512 << 20, .slab_size = 128 << 20}}).value()),
        service(*server),
        client(client_type::connect(
                   lading::loopback::create().value(), server->address(),
                   {.memory = {.capacity = 128 << 20, .slab_size = 128 << 20}, .batch_workers = batch_workers, .serial_workers = serial_workers})
                   .value()) {}

  std::unique_ptr<server_type> server;
  lading::store_service<server_type> service;
  std::unique_ptr<client_type> client;
};

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
void report(benchmark::State& state, const fixture& all, lading::payload_path way, std::size_t bytes) {
  state.counters["GB/s"] = static_cast<double>(bytes) / state.counters["best_ns"];
  const auto seen = all.client->metrics().at(way);
  state.counters["copies"] = seen.values == 0 ? 0.0 : static_cast<double>(seen.copies) / static_cast<double>(seen.values);
}

struct tensors {
  explicit tensors(std::size_t size)
      : count(std::max<std::size_t>(std::min<std::size_t>((std::size_t{64} << 20) / size, 256), 1)), names(keys(count)) {
    for (std::size_t i = 0; i < count; ++i) {
      values.push_back(lading::tensor::zeros(lading::dtype::uint8, {static_cast<std::int64_t>(size)}).value());
      targets.push_back(lading::tensor::zeros(lading::dtype::uint8, {static_cast<std::int64_t>(size)}).value());
      std::memset(values.back().data(), static_cast<int>(i), size);
      buffers.push_back(targets.back().bytes());
    }
  }
  void copy() {
    for (std::size_t i = 0; i < count; ++i) std::memcpy(targets[i].data(), values[i].data(), values[i].size_bytes());
  }

  std::size_t count;
  std::vector<std::string> names;
  std::vector<lading::tensor> values, targets;
  std::vector<lading::bytes_span> buffers;
};

void put_tensors(benchmark::State& state) {
  fixture all;
  const auto size = static_cast<std::size_t>(state.range(0));
  tensors some(size);
  paired::compare(
      state, [&] { require(all.client->put_batch(some.names, some.values, {.mode = lading::put_mode::replace})); }, [&] { some.copy(); });
  report(state, all, size >= (256 << 10) ? lading::payload_path::put_in_place : lading::payload_path::put_staged, size * some.count);
}
BENCHMARK(put_tensors)->Arg(4 << 10)->Arg(64 << 10)->Arg(4 << 20)->Arg(64 << 20)->UseManualTime();

void get_tensors_into(benchmark::State& state) {
  fixture all;
  const auto size = static_cast<std::size_t>(state.range(0));
  tensors some(size);
  require(all.client->put_batch(some.names, some.values));
  paired::compare(
      state, [&] { require(all.client->get_batch_into(some.names, some.buffers)); }, [&] { some.copy(); });
  report(state, all, size >= (256 << 10) ? lading::payload_path::get_in_place : lading::payload_path::get_staged, size * some.count);
}
BENCHMARK(get_tensors_into)->Arg(4 << 10)->Arg(64 << 10)->Arg(4 << 20)->Arg(64 << 20)->UseManualTime();

void view_tensors(benchmark::State& state) {
  fixture all;
  const auto size = static_cast<std::size_t>(state.range(0));
  tensors some(size);
  require(all.client->put_batch(some.names, some.values));
  paired::compare(
      state, [&] { require(all.client->view_batch<lading::tensor_view>(some.names)); }, [&] { some.copy(); });
  report(state, all, lading::payload_path::get_viewed, size * some.count);
}
BENCHMARK(view_tensors)->Arg(4 << 10)->Arg(64 << 10)->Arg(4 << 20)->Arg(64 << 20)->UseManualTime();

struct nested {
  std::uint64_t id = 0;
  std::string name;
  std::vector<float> weights;
  std::vector<std::string> tags;
};

/// Arguments: batch_workers, serial_workers.
void nested_values(benchmark::State& state, bool put) {
  fixture all(static_cast<std::size_t>(state.range(0)), static_cast<std::size_t>(state.range(1)));
  const auto names = keys(1024);
  std::vector<nested> values;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < names.size(); ++i) {
    values.push_back({i, "value " + std::to_string(i), std::vector<float>(1000, 1.f), {"one", "two"}});
    bytes += lading::encoded_size(values.back());
  }
  require(all.client->put_batch(names, values));
  std::vector<std::byte> from(bytes), to(bytes);
  const auto copy = [&] { std::memcpy(to.data(), from.data(), bytes); };
  if (put) {
    paired::compare(
        state, [&] { require(all.client->put_batch(names, values, {.mode = lading::put_mode::replace})); }, copy);
    report(state, all, lading::payload_path::put_encoded, bytes);
  } else {
    paired::compare(
        state, [&] { require(all.client->get_batch<nested>(names)); }, copy);
    report(state, all, lading::payload_path::get_decoded, bytes);
  }
  state.counters["ns_per_value"] = state.counters["best_ns"] / static_cast<double>(names.size());
}
BENCHMARK_CAPTURE(nested_values, put, true)->Args({1, 1})->Args({1, 2})->Args({2, 1})->Args({4, 2})->UseManualTime();
BENCHMARK_CAPTURE(nested_values, get, false)->Args({1, 1})->Args({1, 2})->Args({2, 1})->Args({4, 2})->UseManualTime();

}  // namespace
