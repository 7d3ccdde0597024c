// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// What the tests of ship share: folders, files, and the program in a process of its own.

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace ship_test {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

inline std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}
inline void write_file(const fs::path& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

/// A folder that goes with its owner.
class scratch {
 public:
  scratch() {
    std::string pattern = (fs::temp_directory_path() / "lading-ship-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  scratch(const scratch&) = delete;
  scratch& operator=(const scratch&) = delete;
  ~scratch() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }

  [[nodiscard]] fs::path operator/(const std::string& name) const { return path_ / name; }
  [[nodiscard]] fs::path folder(const std::string& name) const {
    fs::create_directories(path_ / name);
    return path_ / name;
  }

 private:
  fs::path path_;
};

inline std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& each : fs::directory_iterator(folder)) names.push_back(each.path().filename().string());
  return names;
}

/// The program ship, started with these words. It is killed with its owner.
class process {
 public:
  process(const scratch& folder, const std::string& name, std::vector<std::string> words)
      : out_(folder / (name + ".out")), err_(folder / (name + ".err")) {
    // For programs under a sanitizer: what UCX leaks, and no memory kept aside, which a soak would see grow.
    ::setenv("LSAN_OPTIONS", "suppressions=" LADING_SHIP_LEAKS ":print_suppressions=0", 0);
    ::setenv("ASAN_OPTIONS", "quarantine_size_mb=1", 0);
    words.insert(words.begin(), LADING_SHIP);
    std::vector<char*> arguments;
    for (std::string& each : words) arguments.push_back(each.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, out_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_addopen(&actions, 2, err_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (::posix_spawn(&pid_, LADING_SHIP, &actions, nullptr, arguments.data(), environ) != 0) pid_ = -1;
    posix_spawn_file_actions_destroy(&actions);
    EXPECT_GT(pid_, 0) << "cannot start " << LADING_SHIP;
  }
  process(const process&) = delete;
  process& operator=(const process&) = delete;
  ~process() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  void signal(int number) const { ::kill(pid_, number); }

  /// Its exit status, or 128 and the signal that ended it; -1 where it has not ended in time.
  int wait(std::chrono::milliseconds limit = 30s) {
    for (const auto until = std::chrono::steady_clock::now() + limit; std::chrono::steady_clock::now() < until; std::this_thread::sleep_for(2ms)) {
      int status = 0;
      if (::waitpid(pid_, &status, WNOHANG) != pid_) continue;
      pid_ = -1;
      return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    return -1;
  }

  /// Whether it has a file in this folder open, with or without a name.
  [[nodiscard]] bool has_open_in(const fs::path& folder) const {
    std::error_code ignored;
    for (fs::directory_iterator each("/proc/" + std::to_string(pid_) + "/fd", ignored), last; each != last; each.increment(ignored)) {
      if (fs::read_symlink(each->path(), ignored).string().starts_with(folder.string() + '/')) return true;
    }
    return false;
  }

  [[nodiscard]] std::string out() const { return read_file(out_); }
  [[nodiscard]] std::string err() const { return read_file(err_); }

  /// Waits until it has said this on standard error.
  [[nodiscard]] bool has_said(const std::string& text, std::chrono::milliseconds limit = 20s) const {
    for (const auto until = std::chrono::steady_clock::now() + limit; std::chrono::steady_clock::now() < until; std::this_thread::sleep_for(2ms)) {
      if (err().find(text) != std::string::npos) return true;
    }
    return false;
  }
  /// HOST:PORT where it listens.
  [[nodiscard]] std::string place() const {
    const std::string words = "listening on ";
    EXPECT_TRUE(has_said(words)) << err();
    const std::string said = err();
    const std::size_t at = said.find(words);
    return at == std::string::npos ? "" : said.substr(at + words.size(), said.find('\n', at) - at - words.size());
  }
  /// What it has said on standard error besides where it listens.
  [[nodiscard]] std::string complaint() const {
    std::string said = err();
    if (said.starts_with("ship: listening on ")) said.erase(0, said.find('\n') + 1);
    return said;
  }

 private:
  ::pid_t pid_ = -1;
  fs::path out_, err_;
};

/// One line of the program's own.
inline bool is_one_line(const std::string& said) { return said.starts_with("ship: ") && said.find('\n') == said.size() - 1; }

}  // namespace ship_test
