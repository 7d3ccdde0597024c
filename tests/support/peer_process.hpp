// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// A peer in a process of its own: this program again, started with words that tell it to be one.

#include <cstdlib>
#include <fstream>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>

#include <transport/conformance/rig.hpp>

extern "C" char** environ;

namespace peer_process {
using namespace lading;

class process : public conformance::foreign_peer {
 public:
  explicit process(std::vector<std::string> words) {
    int to[2], from[2];
    if (::pipe2(to, O_CLOEXEC) != 0 || ::pipe2(from, O_CLOEXEC) != 0) std::abort();
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, to[0], 3);
    posix_spawn_file_actions_adddup2(&actions, from[1], 4);
    words.insert(words.begin(), "/proc/self/exe");
    std::vector<char*> arguments;
    for (std::string& each : words) arguments.push_back(each.data());
    arguments.push_back(nullptr);
    if (::posix_spawn(&pid_, "/proc/self/exe", &actions, nullptr, arguments.data(), environ) != 0) pid_ = -1;
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

/// The words that this program was started with.
inline std::vector<std::string> words() {
  std::ifstream file("/proc/self/cmdline");
  std::vector<std::string> all;
  for (std::string word; std::getline(file, word, '\0');) all.push_back(word);
  return all;
}

/// What the peer's process does: writes its address and its region's descriptor to descriptor 4, then makes progress until descriptor 3 ends, and
/// answers each letter from there with what answer(letter) says, which may close the transport.
template <class Transport>
int serve(result<Transport>& transport, const region& shown, auto&& answer) {
  const auto write_blob = [](const std::vector<std::byte>& blob) {
    const auto bytes = static_cast<std::uint32_t>(blob.size());
    return ::write(4, &bytes, sizeof bytes) == sizeof bytes && ::write(4, blob.data(), blob.size()) == static_cast<ssize_t>(blob.size());
  };
  if (!write_blob(transport->address().value()) || !write_blob(transport->export_region(shown).value())) return 3;
  for (unsigned round = 0;; ++round) {
    const bool busy = transport.has_value() && transport->progress() != 0;
    if (busy && round % 64 != 0) continue;
    ::pollfd watched{.fd = 3, .events = POLLIN, .revents = 0};
    if (::poll(&watched, 1, 0) == 0) {
      if (!busy) ::usleep(20);
      continue;
    }
    char letter = 0;
    if (::read(3, &letter, 1) != 1) return 0;
    const char reply = answer(letter) ? 'y' : 'n';
    if (::write(4, &reply, 1) != 1) return 0;
  }
}

}  // namespace peer_process
