// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// What an adapter implements. lading::endpoint makes a transport of it; transports/README.md is the contract in prose.

#include <memory>
#include <string_view>
#include <vector>

#include <lading/transport/descriptor.hpp>
#include <lading/transport/operation.hpp>
#include <lading/transport/records.hpp>
#include <lading/transport/time_source.hpp>

namespace lading {

/// What the endpoint does for its driver. Valid from driver::start on.
class driver_host {
 public:
  [[nodiscard]] virtual std::chrono::nanoseconds now() const noexcept = 0;

  /// This endpoint's regions and notifications; a shared pointer, because peers in the same process may hold on to it.
  [[nodiscard]] virtual const std::shared_ptr<incoming_side>& incoming() const noexcept = 0;

  /// Transfers with this peer cannot go on: peer_lost, peer_stalled or closed. Batches that wait are ended with it; the driver reports what it has taken.
  virtual void lost(driver_connection& peer, errc why) noexcept = 0;

 protected:
  ~driver_host() = default;
};

/// Memory that an adapter allocated itself.
struct driver_allocation {
  bytes_span bytes;
  memory_kind kind = memory_kind::host;
  std::unique_ptr<driver_memory> memory;  ///< frees it when destroyed
};

/// An adapter: moves checked slices between checked regions. Everything else is the endpoint's.
///
/// Threads: the endpoint calls one function at a time, except map and allocate, and the destructors of what these return, which run in the threads of
///          those who register, several at once and beside all others; post and notify, where capabilities().concurrent_post; and capabilities, name and
///          event_fd, which are called at any time. No call is under way when stop is called. Reports may come from any thread.
class driver {
 public:
  virtual ~driver() = default;

  [[nodiscard]] virtual std::string_view name() const noexcept = 0;
  [[nodiscard]] virtual lading::capabilities capabilities() const noexcept = 0;

  /// Called once, before anything else.
  [[nodiscard]] virtual result<void> start(driver_host& host) = 0;

  /// Ends all traffic: afterwards no slice is read, written or reported. The endpoint ends what has not been reported.
  virtual void stop() noexcept = 0;

  // Memory. Failing to register is an error, never a slower path. Registering may take its time: deadlines are kept meanwhile.
  [[nodiscard]] virtual result<std::unique_ptr<driver_memory>> map(bytes_span, memory_kind) { return std::make_unique<driver_memory>(); }
  [[nodiscard]] virtual result<driver_allocation> allocate(std::size_t size);
  [[nodiscard]] virtual result<std::vector<std::byte>> export_key(const local_region&) { return std::vector<std::byte>{}; }
  [[nodiscard]] virtual result<std::unique_ptr<driver_remote>> import_key(driver_connection& peer, const region_descriptor& region) = 0;

  // Peers. `native` is what the peer's own native_address returned, or what someone made of it.
  [[nodiscard]] virtual result<std::vector<std::byte>> native_address() const { return std::vector<std::byte>{}; }
  [[nodiscard]] virtual result<std::unique_ptr<driver_connection>> connect(const endpoint_address& address) = 0;
  /// Polled between calls of progress until it is true, fails, or connect's time is up.
  [[nodiscard]] virtual result<bool> connected(driver_connection&) noexcept { return true; }
  /// Forcibly ends traffic with the peer as far as it can; slices that were taken are still reported, at the latest by stop.
  virtual void disconnect(driver_connection&) noexcept {}

  // Slices.
  /// Takes slices [first, first + n) of the batch and returns n; 0 when the connection's window is full, for other batches too: they are not tried before
  /// this one goes. batch::again is for what another window limits. Never waits.
  [[nodiscard]] virtual std::size_t post(batch& slices, std::size_t first) noexcept = 0;
  /// All slices of the operation have been reported done: makes the peer's endpoint deliver (tag, own identity) after their bytes are visible there.
  /// Returns whether it was taken (then reports operation::notified); false = try again later.
  [[nodiscard]] virtual bool notify(driver_connection&, std::uint64_t, operation&) noexcept { return false; }
  /// The operation was given up: ends slices that were taken, as soon as that can be done safely. They are still reported.
  virtual void abort(driver_connection&, operation&) noexcept {}
  /// Moves what is under way; returns how many things happened.
  virtual std::size_t progress() noexcept = 0;
  /// The time by which a round of progress, that has just been made, keeps deadlines. A driver that has read the clock lately says what it read.
  [[nodiscard]] virtual std::chrono::nanoseconds time_of_round(const driver_host& host) const noexcept { return host.now(); }
  /// A descriptor that is readable when progress has work; -1 = there is none. Where progress returns 0, it has armed the descriptor.
  /// A driver whose every event signals driver_host::incoming()->awake returns endpoint_event_fd: then the endpoint has one.
  static constexpr int endpoint_event_fd = -2;
  [[nodiscard]] virtual int event_fd() const noexcept { return -1; }
  /// What a prepared batch can be turned into once; nullptr = nothing.
  [[nodiscard]] virtual result<std::unique_ptr<driver_plan>> prepare(batch&) { return nullptr; }
};

namespace detail {

struct heap_memory final : driver_memory {
  explicit heap_memory(std::size_t size) : bytes(static_cast<std::byte*>(::operator new(size, alignment, std::nothrow))) {}
  ~heap_memory() override {
    mapped.reset();
    ::operator delete(bytes, alignment);
  }
  static constexpr std::align_val_t alignment{4096};
  std::byte* bytes;
  std::unique_ptr<driver_memory> mapped;
};

}  // namespace detail

/// Zeroed memory of the host, aligned to 4 KiB, registered by map.
inline result<driver_allocation> driver::allocate(std::size_t size) {
  auto memory = std::make_unique<detail::heap_memory>(size);
  if (memory->bytes == nullptr) return fail(errc::no_memory, {.needed = size, .what = "the allocation failed"});
  const bytes_span bytes{memory->bytes, size};
  std::memset(bytes.data(), 0, size);
  auto mapped = map(bytes, memory_kind::host);
  if (!mapped) return fail(mapped.error());
  memory->mapped = std::move(*mapped);
  return driver_allocation{bytes, memory_kind::host, std::move(memory)};
}

}  // namespace lading
