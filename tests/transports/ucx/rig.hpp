// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// What the tests of the ucx transport share: its lanes, and a peer in a process of its own.

#include <cstdlib>

#include <transport/conformance.hpp>

#include <lading/transports/ucx.hpp>

#if defined(__linux__)
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>
#endif

namespace ucx_test {
using namespace lading;

struct tcp {
  static constexpr const char* lanes = "tcp";
};
struct shared_memory {
  static constexpr const char* lanes = "posix,sysv,self,cma";
};

template <class Lanes>
result<ucx> make(const endpoint_options& options, const auto& change) {
  ucx_options all;
  static_cast<endpoint_options&>(all) = options;
  all.lanes = Lanes::lanes;
  change(all);
  return ucx::create(all);
}
template <class Lanes>
result<ucx> make(const endpoint_options& options = {}) {
  return make<Lanes>(options, [](ucx_options&) {});
}

#if defined(__linux__)

extern "C" char** environ;

/// This program again, as a peer: `--ucx-peer LANES SIZE`; see peer_main.
class process final : public conformance::foreign_peer {
 public:
  process(const char* lanes, std::size_t size) {
    int to[2], from[2];
    if (::pipe2(to, O_CLOEXEC) != 0 || ::pipe2(from, O_CLOEXEC) != 0) std::abort();
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, to[0], 3);
    posix_spawn_file_actions_adddup2(&actions, from[1], 4);
    const std::string bytes = std::to_string(size);
    const char* const arguments[] = {"/proc/self/exe", "--ucx-peer", lanes, bytes.c_str(), nullptr};
    // Safety: posix_spawn does not write through its arguments.
    if (::posix_spawn(&pid_, "/proc/self/exe", &actions, nullptr, const_cast<char* const*>(arguments), environ) != 0) pid_ = -1;
    posix_spawn_file_actions_destroy(&actions);
    ::close(to[0]);
    ::close(from[1]);
    to_ = to[1];
    from_ = from[0];
    address_ = read_blob();
    descriptor_ = read_blob();
    EXPECT_FALSE(descriptor_.empty()) << "the peer's process did not start";
  }
  ~process() override {
    ::close(to_);  // the peer ends
    ::close(from_);
    if (pid_ > 0) {
      ::kill(pid_, SIGCONT);
      ::waitpid(pid_, nullptr, 0);
    }
  }
  std::vector<std::byte> address() override { return address_; }
  std::vector<std::byte> descriptor() override { return descriptor_; }
  void signal(int number) {
    if (pid_ > 0) ::kill(pid_, number);
  }
  void kill() override {
    signal(SIGKILL);
    if (pid_ > 0) ::waitpid(std::exchange(pid_, -1), nullptr, 0);
  }
  void stop() override { signal(SIGSTOP); }
  void resume() override { signal(SIGCONT); }
  bool intact() override { return ask('i') == 'y'; }

  /// Sends a letter, and returns the one that comes back; 0 where none does.
  char ask(char letter) {
    char answer = 0;
    if (::write(to_, &letter, 1) != 1 || !readable() || ::read(from_, &answer, 1) != 1) return 0;
    return answer;
  }

 private:
  bool readable() const {
    ::pollfd watched{.fd = from_, .events = POLLIN, .revents = 0};
    return ::poll(&watched, 1, 20'000) == 1;
  }
  std::vector<std::byte> read_blob() {
    std::uint32_t size = 0;
    if (!read_all(&size, sizeof size) || size > (1u << 20)) return {};
    std::vector<std::byte> blob(size);
    if (!read_all(blob.data(), size)) return {};
    return blob;
  }
  bool read_all(void* target, std::size_t size) {
    for (std::size_t at = 0; at < size;) {
      const auto got = readable() ? ::read(from_, static_cast<char*>(target) + at, size - at) : -1;
      if (got <= 0) return false;
      at += static_cast<std::size_t>(got);
    }
    return true;
  }

  ::pid_t pid_ = -1;
  int to_ = -1, from_ = -1;
  std::vector<std::byte> address_, descriptor_;
};

/// What the peer's process does: writes its address and its region's descriptor to descriptor 4, then makes progress until descriptor 3 ends.
/// Asked 'i', it answers whether the guards are intact; 'd' deregisters the region; 'r' tells whether it has refused anything.
inline int peer_main(const char* lanes, std::size_t size) {
  ucx_options options;
  options.lanes = lanes;
  auto made = ucx::create(options);
  if (!made) return 2;
  conformance::guarded_memory memory(size);
  auto registered = made->register_region(memory.bytes());
  const auto write_blob = [](const std::vector<std::byte>& blob) {
    const auto bytes = static_cast<std::uint32_t>(blob.size());
    return ::write(4, &bytes, sizeof bytes) == sizeof bytes && ::write(4, blob.data(), blob.size()) == static_cast<ssize_t>(blob.size());
  };
  if (!registered || !write_blob(made->address().value()) || !write_blob(made->export_region(*registered).value())) return 3;
  for (unsigned round = 0;; ++round) {
    const bool busy = made->progress() != 0;
    if (busy && round % 64 != 0) continue;
    ::pollfd watched{.fd = 3, .events = POLLIN, .revents = 0};
    if (::poll(&watched, 1, 0) == 0) {
      if (!busy) ::usleep(20);
      continue;
    }
    char letter = 0;
    if (::read(3, &letter, 1) != 1) return 0;
    bool yes = false;
    if (letter == 'i') yes = memory.intact();
    if (letter == 'd') yes = registered->deregister().has_value();
    if (letter == 'r') yes = made->refusals().count != 0;
    const char answer = yes ? 'y' : 'n';
    if (::write(4, &answer, 1) != 1) return 0;
  }
}

#endif

template <class Lanes>
struct rig {
  using transport_type = ucx;
  static constexpr std::size_t connection_cycles = 2'000;
  result<ucx> make(const endpoint_options& options) { return ucx_test::make<Lanes>(options); }
#if defined(__linux__)
  std::unique_ptr<conformance::foreign_peer> spawn_peer(std::size_t size) { return std::make_unique<process>(Lanes::lanes, size); }
#endif
};

}  // namespace ucx_test
