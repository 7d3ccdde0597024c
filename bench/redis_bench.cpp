// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// A store in a redis beside bare hiredis, which sends the same bytes by pipelined SETs and reads them by pipelined GETs, over the same server's socket.
// Counters: vs_floor is a ratio of the best times. Skipped where there is no redis-server.

#include <paired.hpp>

#if __has_include(<hiredis/hiredis.h>) && __has_include(<lading/stores/redis.hpp>)

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>

#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <lading/codec/tensor/wire.hpp>
#include <lading/stores/redis.hpp>

namespace {

using line = std::unique_ptr<redisContext, void (*)(redisContext*)>;

/// A redis-server on a socket file, killed with this program.
class server {
 public:
  static server& instance() {
    static server one;
    return one;
  }
  [[nodiscard]] bool runs() const { return connect()->err == 0; }
  [[nodiscard]] line connect() const { return {redisConnectUnix(socket_.c_str()), redisFree}; }
  [[nodiscard]] const std::string& socket() const { return socket_; }

 private:
  server() {
    std::string pattern = (std::filesystem::temp_directory_path() / "lading-bench-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    socket_ = folder_ + "/redis.sock";
    const ::pid_t parent = ::getpid();
    process_ = ::fork();
    if (process_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() == parent) {
        ::execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", socket_.c_str(), "--save", "", "--appendonly", "no", "--dir",
                 folder_.c_str(), "--logfile", "log", static_cast<char*>(nullptr));
      }
      ::_exit(127);
    }
    for (int i = 0; i < 400 && !runs() && ::waitpid(process_, nullptr, WNOHANG) == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  ~server() {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  server(const server&) = delete;
  server& operator=(const server&) = delete;

  std::string folder_, socket_;
  ::pid_t process_ = -1;
};

void require(const auto& results) {
  for (const auto& each : results) {
    if (!each) std::abort();
  }
}

struct bare {
  void put(const std::vector<std::string>& names, const std::vector<lading::tensor>& values) const {
    for (std::size_t i = 0; i < names.size(); ++i) {
      redisAppendCommand(to.get(), "SET bare/%b %b", names[i].data(), names[i].size(), values[i].data(), values[i].size_bytes());
    }
    take(names.size(), [](const redisReply&, std::size_t) {});
  }
  void get(const std::vector<std::string>& names, std::vector<lading::tensor>& into) const {
    for (const std::string& each : names) redisAppendCommand(to.get(), "GET bare/%b", each.data(), each.size());
    take(names.size(), [&](const redisReply& answer, std::size_t i) { std::memcpy(into[i].data(), answer.str, answer.len); });
  }
  void take(std::size_t count, auto&& use) const {
    for (std::size_t i = 0; i < count; ++i) {
      void* answer = nullptr;
      if (redisGetReply(to.get(), &answer) != REDIS_OK) std::abort();
      use(*static_cast<redisReply*>(answer), i);
      freeReplyObject(answer);
    }
  }
  line to = server::instance().connect();
};

void tensors(benchmark::State& state, bool put) {
  if (!server::instance().runs()) return state.SkipWithError("there is no redis-server here");
  const auto size = static_cast<std::size_t>(state.range(0));
  const std::size_t count = std::max<std::size_t>(std::min<std::size_t>((std::size_t{16} << 20) / size, 256), 1);
  lading::redis_options how;
  how.unix_socket = server::instance().socket();
  const auto store = lading::redis_store::connect(how).value();
  const bare floor;
  std::vector<std::string> names;
  std::vector<lading::tensor> values;
  for (std::size_t i = 0; i < count; ++i) {
    names.push_back("key/" + std::to_string(i));
    values.push_back(lading::tensor::zeros(lading::dtype::uint8, {static_cast<std::int64_t>(size)}).value());
    std::memset(values.back().data(), static_cast<int>(i + 1), size);
  }
  auto targets = values;
  std::vector<lading::bytes_span> buffers;
  for (lading::tensor& each : targets) buffers.push_back(each.bytes());
  require(store->put_batch(names, values, {.mode = lading::put_mode::replace}));
  floor.put(names, values);
  if (put) {
    paired::compare(
        state, [&] { require(store->put_batch(names, values, {.mode = lading::put_mode::replace})); }, [&] { floor.put(names, values); });
  } else {
    paired::compare(
        state, [&] { require(store->get_batch_into(names, buffers)); }, [&] { floor.get(names, targets); });
  }
  state.counters["GB/s"] = static_cast<double>(size * count) / state.counters["best_ns"];
  state.counters["floor_GB/s"] = static_cast<double>(size * count) / state.counters["floor_ns"];
}
BENCHMARK_CAPTURE(tensors, put, true)->ArgName("bytes")->Arg(1 << 10)->Arg(64 << 10)->Arg(4 << 20)->UseManualTime();
BENCHMARK_CAPTURE(tensors, get_into, false)->ArgName("bytes")->Arg(1 << 10)->Arg(64 << 10)->Arg(4 << 20)->UseManualTime();

}  // namespace

#endif
