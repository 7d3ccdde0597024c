// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include <lading/exchange/client.hpp>
#include <lading/exchange/server.hpp>
#include <lading/transport/fault_injecting.hpp>
#include <lading/transports/loopback.hpp>

namespace lading::store_conformance {

/// The number that a variable of the environment names: how many seeds a test tries, and with which it begins.
inline std::uint64_t number_from(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

/// A server and clients that share one thread, over a transport that loses, delays, repeats, cuts and spoils what it carries, as the seed has it.
class faulty_world {
 public:
  using transport = fault_injecting<loopback>;
  using server_type = store_server<transport, select_always>;
  using client_type = store_client<transport, select_always>;

  struct settings {
    std::size_t clients, slots;
    std::uint64_t capacity, slab_size, client_memory;
    std::size_t in_place_from;
    std::uint32_t rate;  // how many times as often as one in a hundred something is late, comes twice or in another order
  };

  faulty_world(std::uint64_t seed, const settings& how) : random_(seed) {
    using namespace std::chrono_literals;
    server_ = server_type::create(
                  transport_of(seed * 8 + 1, how.rate),
                  {.memory = {.capacity = how.capacity, .slab_size = how.slab_size}, .lease_time = 20ms, .transfer_time = 10ms, .connect_time = 50ms})
                  .value();
    store_client_options options{.memory = {.capacity = how.client_memory, .slab_size = how.client_memory},
                                 .deadline = 20s,
                                 .in_place_from = how.in_place_from,
                                 .batch_workers = 1,
                                 .serial_workers = 1};
    for (std::uint64_t i = 0; i < how.clients; ++i) {
      options.channel = {.slots = how.slots,
                         .slot_size = 16 << 10,
                         .attempt_time = 2ms,
                         .connect_time = 100ms,
                         .reconnects = 100,
                         .first_pause = 50us,
                         .longest_pause = 2ms,
                         .seed = seed + i + 1,
                         .idle = [](void* self) { static_cast<faulty_world*>(self)->idle(); },
                         .idle_context = this};
      auto made = client_type::connect(transport_of(seed * 8 + 2 + i, how.rate), server_->address(), options);
      if (made) clients_.push_back(std::move(*made));
    }
  }
  faulty_world(const faulty_world&) = delete;
  faulty_world& operator=(const faulty_world&) = delete;
  virtual ~faulty_world() = default;

  [[nodiscard]] std::uint64_t faults() const {
    std::uint64_t sum = server_->transport_used().counts().total();
    for (const auto& each : clients_) sum += each->transport_used().counts().total();
    return sum;
  }

 protected:
  /// The server's turn; what waits for time to pass leaves the processor to others.
  void idle() {
    quiet_ = server_->progress() != 0 ? 0 : quiet_ + 1;
    if (quiet_ > 4) std::this_thread::sleep_for(std::chrono::microseconds(50));
    while_waiting();
  }
  virtual void while_waiting() {}

  std::mt19937_64 random_;
  std::unique_ptr<server_type> server_;
  std::vector<std::unique_ptr<client_type>> clients_;  // that could connect

 private:
  static transport transport_of(std::uint64_t seed, std::uint32_t rate) {
    using namespace std::chrono_literals;
    fault_plan plan{.seed = seed, .hold_time = 200us, .stall_time = 1ms};
    plan.with(fault::delay, rate * 10'000).with(fault::reorder, rate * 10'000).with(fault::duplicate, rate * 10'000).with(fault::loss, rate * 5'000);
    plan.with(fault::submit_failure, 10'000).with(fault::short_write, 10'000).with(fault::corruption, 10'000).with(fault::false_completion, 10'000);
    plan.with(fault::peer_death, 3'000).with(fault::stall, 5'000);
    loopback_options below;
    below.workers = 1;
    endpoint_options how;
    how.drain_limit = 1ms;
    return transport::create(loopback::create(below).value(), plan, how).value();
  }

  unsigned quiet_ = 0;
};

}  // namespace lading::store_conformance
