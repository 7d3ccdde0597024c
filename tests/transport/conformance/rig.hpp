// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// What the cases of the conformance suite share.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <transport/conformance/any_transport.hpp>

namespace lading::conformance {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool sanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif
#else
inline constexpr bool sanitized = false;
#endif

/// Whether LADING_CONFORMANCE_QUICK asks for small sizes and few rounds, as on emulated hardware.
inline const bool quick = std::getenv("LADING_CONFORMANCE_QUICK") != nullptr;

/// A peer in another process: an endpoint with one region, filled with zeros, that makes progress until told otherwise.
class foreign_peer {
 public:
  virtual ~foreign_peer() = default;
  [[nodiscard]] virtual std::vector<std::byte> address() = 0;
  [[nodiscard]] virtual std::vector<std::byte> descriptor() = 0;
  virtual void kill() = 0;                  ///< SIGKILL, and reap
  virtual void stop() = 0;                  ///< SIGSTOP
  virtual void resume() = 0;                ///< SIGCONT
  [[nodiscard]] virtual bool intact() = 0;  ///< the guards around its region are as they were, and it answers
};

/// A rig, as LADING_CONFORMANCE's argument describes it, behind one type.
struct any_rig {
  template <class Rig>
  [[nodiscard]] static any_rig of() {
    const auto rig = std::make_shared<Rig>();
    any_rig made;
    made.make = [rig](const endpoint_options& options) -> result<any_transport> {
      auto one = rig->make(options);
      if (!one) return fail(one.error());
      return any_transport::of(std::move(*one));
    };
    if constexpr (requires { rig->spawn_peer(std::size_t{}); }) made.spawn_peer = [rig](std::size_t size) { return rig->spawn_peer(size); };
    if constexpr (requires { Rig::unavailable(); }) made.unavailable = Rig::unavailable();
    if constexpr (requires { Rig::largest_slice; }) made.largest_slice = Rig::largest_slice;
    if constexpr (requires { Rig::many_slices; }) made.many_slices = Rig::many_slices;
    if constexpr (requires { Rig::connection_cycles; }) made.connection_cycles = Rig::connection_cycles;
    if constexpr (requires { Rig::shares_regions; }) made.shares_regions = Rig::shares_regions;
    if (sanitized) {
      made.largest_slice = std::min(made.largest_slice, std::size_t{8} << 20);
      made.connection_cycles = std::min<std::size_t>(made.connection_cycles, 1'000);
    }
    if (quick) {
      made.largest_slice = std::min(made.largest_slice, std::size_t{1} << 20);
      made.many_slices = std::min<std::size_t>(made.many_slices, 3'000);
      made.connection_cycles = std::min<std::size_t>(made.connection_cycles, 12);
    }
    return made;
  }

  std::function<result<any_transport>(const endpoint_options& options)> make;
  std::function<std::unique_ptr<foreign_peer>(std::size_t region_size)> spawn_peer;  ///< empty: there can be none
  std::string unavailable;                                                           ///< what the host lacks
  std::size_t largest_slice = std::size_t{64} << 20;
  std::size_t many_slices = 100'000;
  std::size_t connection_cycles = 10'000;
  bool shares_regions = false;
};

/// One case of the suite.
struct conformance_case {
  const char* name;
  void (*run)(const any_rig& rig);
};

/// Bytes that tell where they belong: no two aligned words of two seeds are likely to be equal.
inline void fill(bytes_span bytes, std::uint64_t seed) {
  std::uint64_t word = seed * 0x9e3779b97f4a7c15u + 1;
  for (std::size_t i = 0; i < bytes.size(); i += 8) {
    word = word * 6364136223846793005u + 1442695040888963407u;
    const std::uint64_t mixed = word ^ (word >> 29);
    std::memcpy(bytes.data() + i, &mixed, std::min<std::size_t>(8, bytes.size() - i));
  }
}

[[nodiscard]] inline bool same(bytes_view left, bytes_view right) {
  return left.size() == right.size() && (left.empty() || std::memcmp(left.data(), right.data(), left.size()) == 0);
}

/// Memory with guards on both sides, which nothing may write.
class guarded_memory {
 public:
  explicit guarded_memory(std::size_t size) : all_(size + 2 * guard), bytes_(bytes_span(all_).subspan(guard, size)) {
    std::fill(all_.begin(), all_.end(), mark);
    std::fill_n(all_.begin() + guard, size, std::byte{0});
  }
  guarded_memory(guarded_memory&&) noexcept = default;
  guarded_memory& operator=(guarded_memory&&) noexcept = default;

  /// Memory of someone else, without guards.
  [[nodiscard]] static guarded_memory over(bytes_span bytes) {
    guarded_memory made(0);
    made.all_.clear();
    made.bytes_ = bytes;
    return made;
  }
  [[nodiscard]] bytes_span bytes() { return bytes_; }
  [[nodiscard]] bool intact() const {
    if (all_.empty()) return true;
    const auto is_mark = [](std::byte one) { return one == mark; };
    return std::all_of(all_.begin(), all_.begin() + guard, is_mark) && std::all_of(all_.end() - guard, all_.end(), is_mark);
  }

 private:
  static constexpr std::ptrdiff_t guard = 4096;
  static constexpr std::byte mark{0xa7};
  std::vector<std::byte> all_;
  bytes_span bytes_;
};

/// Connects while the other side makes progress too.
template <class From, class To>
peer_id connect(From& from, To& to) {
  std::atomic<bool> done{false};
  std::thread other([&] {
    while (!done.load()) {
      to.progress();
      std::this_thread::yield();
    }
  });
  const auto peer = from.connect(to.address().value());
  done.store(true);
  other.join();
  EXPECT_TRUE(peer.has_value()) << peer.error().message();
  return *peer;
}

/// Two connected endpoints, each with a region that the other has imported.
class connected_pair {
 public:
  connected_pair(any_rig with, std::size_t size, const endpoint_options& near_options = {}, const endpoint_options& far_options = {})
      : rig(std::move(with)), near_memory(size), far_memory(size) {
    near.emplace(rig.make(near_options).value());
    far.emplace(rig.make(far_options).value());
    near_region = make_region(*near, near_memory);
    far_region = make_region(*far, far_memory);
    to_far = connect(*near, *far);
    to_near = connect(*far, *near);
    far_import = near->import_region(to_far, far->export_region(far_region).value()).value();
    near_import = far->import_region(to_near, near->export_region(near_region).value()).value();
  }
  ~connected_pair() {
    EXPECT_TRUE(near_memory.intact()) << "bytes before or after the near region were written";
    EXPECT_TRUE(far_memory.intact()) << "bytes before or after the far region were written";
  }

  /// Registers the memory; where the rig shares regions, allocates one instead, whose bytes the memory then is.
  [[nodiscard]] region make_region(any_transport& owner, guarded_memory& memory) const {
    if (!rig.shares_regions) return owner.register_region(memory.bytes()).value();
    region made = owner.allocate_region(memory.bytes().size()).value();
    memory = guarded_memory::over(made.bytes());
    return made;
  }

  void progress() {
    if (near) near->progress();
    if (far) far->progress();
    for (notification taken; far && take_notifications && far->next_notification(taken);) {}
  }

  /// Drives both sides until the transfer ends, or a minute has passed.
  completion finish(transfer& running) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!running.ready() && std::chrono::steady_clock::now() < until) progress();
    EXPECT_TRUE(running.ready()) << "the transfer never ended";
    return running.ready() ? running.how() : completion{.status = fail(errc::timed_out)};
  }
  completion run(op direction, std::span<const slice> slices, const submit_options& options = {}) {
    auto running = near->submit(to_far, direction, slices, options);
    if (!running) return completion{.status = fail(running.error()), .failed = static_cast<std::uint32_t>(slices.size()), .first_failed = 0};
    return finish(*running);
  }
  [[nodiscard]] slice one(std::uint64_t near_offset, std::uint64_t far_offset, std::uint64_t size) const {
    return {near_region.id(), far_import, near_offset, far_offset, size};
  }

  any_rig rig;
  bool take_notifications = false;  // by progress, and forget them
  guarded_memory near_memory, far_memory;
  std::optional<any_transport> near, far;
  region near_region, far_region;
  peer_id to_far{}, to_near{};
  remote_region_id far_import{}, near_import{};
};

/// Open descriptors of this process; nothing where that cannot be told.
[[nodiscard]] inline std::optional<std::size_t> open_descriptors();
/// Memory of this process that is in use, in bytes.
[[nodiscard]] inline std::optional<std::size_t> resident_bytes();

}  // namespace lading::conformance

#if defined(__linux__)
#include <dirent.h>
#include <unistd.h>

inline std::optional<std::size_t> lading::conformance::open_descriptors() {
  DIR* const folder = ::opendir("/proc/self/fd");
  if (folder == nullptr) return std::nullopt;
  std::size_t count = 0;
  while (::readdir(folder) != nullptr) ++count;
  ::closedir(folder);
  return count;
}
inline std::optional<std::size_t> lading::conformance::resident_bytes() {
  std::FILE* const file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr) return std::nullopt;
  unsigned long total = 0, resident = 0;
  const int read = std::fscanf(file, "%lu %lu", &total, &resident);
  std::fclose(file);
  if (read != 2) return std::nullopt;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}
#else
inline std::optional<std::size_t> lading::conformance::open_descriptors() { return std::nullopt; }
inline std::optional<std::size_t> lading::conformance::resident_bytes() { return std::nullopt; }
#endif

/// Ends a case whose transport cannot get.
#define LADING_CONFORMANCE_NEEDS_GET(transport) \
  if (!(transport).capabilities().serves_get) GTEST_SKIP() << "the transport's capabilities say that it cannot get"

#define LADING_CONFORMANCE_NEEDS_NOTIFY(transport) \
  if (!(transport).capabilities().notifies) GTEST_SKIP() << "the transport's capabilities say that it cannot notify"
