// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <ucp/api/ucp.h>
#include <unistd.h>

#include <lading/core/bytes.hpp>
#include <lading/core/result.hpp>

namespace lading {

/// One of UCX's own settings, named as in its documentation without UCX_: {"KEEPALIVE_INTERVAL", "2s"}. Before UCX 1.17, what one
/// lane alone has is named without the lane: {"GID_INDEX", "1"}, {"RC_TIMEOUT", "20ms"}; since then {"IB_GID_INDEX", "1"}, {"RC_VERBS_TIMEOUT", "20ms"}.
struct ucx_setting {
  std::string name, value;
};

}  // namespace lading

namespace lading::detail {

/// The error of a call into UCX; native() is its status.
[[nodiscard]] inline error ucx_error(ucs_status_t status, const char* what) noexcept {
  const errc code = status == UCS_ERR_NO_MEMORY   ? errc::no_memory
                    : status == UCS_ERR_TIMED_OUT ? errc::timed_out
                    : status == UCS_ERR_UNREACHABLE || status == UCS_ERR_CONNECTION_RESET || status == UCS_ERR_NOT_CONNECTED ||
                            status == UCS_ERR_ENDPOINT_TIMEOUT || status == UCS_ERR_REJECTED
                        ? errc::peer_lost
                        : errc::backend_failure;
  return error(code, {.native = static_cast<std::int32_t>(status), .what = what});
}

/// Whether the UCX that the program runs with is older. Before 1.17, a lane's own settings are set without the lane's name.
[[nodiscard]] inline bool ucx_before(unsigned major, unsigned minor) noexcept {
  unsigned is_major = 0, is_minor = 0, release = 0;
  ucp_get_version(&is_major, &is_minor, &release);
  return is_major < major || (is_major == major && is_minor < minor);
}

/// UCX's context. Registrations made with it keep it.
struct ucx_context {
  explicit ucx_context(ucp_context_h made) noexcept : handle(made) {}
  ucx_context(const ucx_context&) = delete;
  ucx_context& operator=(const ucx_context&) = delete;
  ~ucx_context() {
    if (!abandoned) ucp_cleanup(handle);
  }
  ucp_context_h handle;
  bool abandoned = false;  ///< by a worker that could not be closed
};

/// A UCX context with one worker. It offers active messages only: UCX then serves no put or get that names an address.
class ucx_worker {
 public:
  static constexpr unsigned message_id = 0x1ad;

  ucx_worker() = default;
  ucx_worker(const ucx_worker&) = delete;
  ucx_worker& operator=(const ucx_worker&) = delete;
  ~ucx_worker() { close(); }

  struct choice {
    std::string lanes;    ///< as in UCX_TLS; empty = as UCX itself decides
    std::string devices;  ///< as in UCX_NET_DEVICES; likewise
    std::vector<ucx_setting> settings;
  };

  [[nodiscard]] result<void> open(const choice& wanted, ucp_am_recv_callback_t on_message, void* argument) noexcept {
    // Where UCX 1.13 finds none left for its own thread, it ends the program.
    if (constexpr std::size_t few = 16; !descriptors_left(few))
      return fail(errc::no_memory, {.needed = few, .what = "UCX needs file descriptors: raise the limit (ulimit -n)"});
    ucp_config_t* config = nullptr;
    if (const auto status = ucp_config_read(nullptr, nullptr, &config); status != UCS_OK)
      return fail(ucx_error(status, "UCX's configuration is invalid"));
    const auto set = [&](const char* name, const char* value) { return ucp_config_modify(config, name, value); };
    ucs_status_t status = UCS_OK;
    const auto prefer_as = [&](const char* lane, const char* name, const char* value) {
      char variable[64];
      std::snprintf(variable, sizeof variable, "UCX_%s%s", lane, name);
      if (std::getenv(variable) == nullptr) static_cast<void>(set(ucx_before(1, 17) ? name : variable + 4, value));
    };
    const auto prefer = [&](const char* name, const char* value) { prefer_as("", name, value); };
    if (!wanted.lanes.empty()) status = set("TLS", wanted.lanes.c_str());
    if (status == UCS_OK && !wanted.devices.empty()) status = set("NET_DEVICES", wanted.devices.c_str());
    // Without it, shared memory lanes refuse to detect errors, and then requests to a dead peer never end.
    if (shares_memory(wanted.lanes)) prefer("MM_ERROR_HANDLING", "y");
    prefer("KEEPALIVE_INTERVAL", "1s");
    if (may_use(wanted.lanes, {"all", "tcp"})) {
      // Else connecting stops the whole program for minutes where an address neither takes nor refuses a connection.
      prefer_as("TCP_", "CONN_NB", "y");
      // By default, what UCX copies goes to the system in pieces of 8 KiB. 64 KiB are what peers take, unless someone set RX_SEG_SIZE.
      if (std::getenv("UCX_TCP_RX_SEG_SIZE") == nullptr) prefer_as("TCP_", "TX_SEG_SIZE", "64k");
    }
    // Else a peer that dies while megabytes are on their way to it over TCP takes this program with it now and then: UCX 1.13.1 completes a send twice.
    if (ucx_before(1, 17) && chosen(wanted.lanes) == "tcp") prefer("ZCOPY_THRESH", "inf");
    // A peer whose host is gone is noticed in tenths of a second; by default it takes UCX half a minute.
    if (uses_rc(wanted)) {
      const auto prefer_rc = [&](const char* name, const char* value) {
        char generic[64], own[64];
        std::snprintf(generic, sizeof generic, "UCX_RC_%s", name);
        std::snprintf(own, sizeof own, "UCX_RC_VERBS_%s", name);
        if (std::getenv(generic) == nullptr && std::getenv(own) == nullptr) static_cast<void>(set((ucx_before(1, 17) ? generic : own) + 4, value));
      };
      prefer_rc("TIMEOUT", "20ms");
      prefer_rc("RETRY_COUNT", "3");
    }
    for (const ucx_setting& each : wanted.settings) {
      if (status == UCS_OK) status = set(each.name.c_str(), each.value.c_str());
    }
    if (status == UCS_OK) {
      ucp_params_t params{};
      params.field_mask = UCP_PARAM_FIELD_FEATURES | UCP_PARAM_FIELD_NAME | UCP_PARAM_FIELD_MT_WORKERS_SHARED;
      params.features = UCP_FEATURE_AM | UCP_FEATURE_WAKEUP;
      params.mt_workers_shared = 1;  // memory is registered in any thread, beside the worker
      params.name = "lading";
      ucp_context_h made = nullptr;
      status = ucp_init(&params, config, &made);
      LADING_TRY {
        if (status == UCS_OK) context_ = std::make_shared<ucx_context>(made);
      }
      LADING_CATCH_BAD_ALLOC({
        ucp_cleanup(made);
        status = UCS_ERR_NO_MEMORY;
      })
    }
    ucp_config_release(config);
    if (status != UCS_OK) return fail(ucx_error(status, "UCX finds no usable lane: check the option lanes, or UCX_TLS"));

    ucp_worker_params_t worker{};
    worker.field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE;
    worker.thread_mode = UCS_THREAD_MODE_SERIALIZED;
    status = ucp_worker_create(context_->handle, &worker, &worker_);
    if (status != UCS_OK) return fail(ucx_error(status, "UCX cannot open its lanes: is the limit of open files, or of shared memory, reached?"));
    ucp_am_handler_param_t handler{};
    handler.field_mask = UCP_AM_HANDLER_PARAM_FIELD_ID | UCP_AM_HANDLER_PARAM_FIELD_CB | UCP_AM_HANDLER_PARAM_FIELD_ARG;
    handler.id = message_id;
    handler.cb = on_message;
    handler.arg = argument;
    status = ucp_worker_set_am_recv_handler(worker_, &handler);
    if (status != UCS_OK) return fail(ucx_error(status, "UCX refuses the message handler"));
    return {};
  }
  void close() noexcept {
    if (worker_ != nullptr) ucp_worker_destroy(worker_);
    worker_ = nullptr;
    context_.reset();
  }

  /// Leaves all of it as it is until the program ends, for where UCX cannot close it. It makes no progress, and so touches no memory, any more.
  void abandon() noexcept {
    if (worker_ != nullptr) {
      ++abandoned_;
      context_->abandoned = true;
    }
    worker_ = nullptr;
    context_.reset();
  }
  /// How many of this process were: their memory is what who looks for leaks will find.
  [[nodiscard]] static std::size_t abandoned() noexcept { return abandoned_.load(); }

  /// Whether a list of lanes may contain one of shared memory; the setting for those is an unknown one, and warned of, where there is none.
  [[nodiscard]] static bool shares_memory(const std::string& lanes) noexcept {
    return may_use(lanes, {"all", "shm", "sm", "mm", "posix", "sysv", "xpmem"});
  }

  [[nodiscard]] ucp_worker_h get() const noexcept { return worker_; }
  /// Empty where it is not open.
  [[nodiscard]] const std::shared_ptr<ucx_context>& context() const noexcept { return context_; }
  [[nodiscard]] bool is_open() const noexcept { return worker_ != nullptr; }
  std::size_t progress() noexcept { return ucp_worker_progress(worker_); }
  [[nodiscard]] int event_fd() const noexcept {
    int fd = -1;
    return worker_ != nullptr && ucp_worker_get_efd(worker_, &fd) == UCS_OK ? fd : -1;
  }
  /// Makes the descriptor readable upon the next event; false where there has been one already.
  [[nodiscard]] bool arm() noexcept { return ucp_worker_arm(worker_) != UCS_ERR_BUSY; }

  [[nodiscard]] result<std::vector<std::byte>> address() const {
    ucp_address_t* raw = nullptr;
    std::size_t size = 0;
    if (const auto status = ucp_worker_get_address(worker_, &raw, &size); status != UCS_OK)
      return fail(ucx_error(status, "the worker has no address"));
    // Safety: the address is an opaque sequence of bytes.
    const auto* bytes = reinterpret_cast<const std::byte*>(raw);
    std::vector<std::byte> copy(bytes, bytes + size);
    ucp_worker_release_address(worker_, raw);
    return copy;
  }

 private:
  static inline std::atomic<std::size_t> abandoned_{0};

  static std::string_view chosen(const std::string& lanes) noexcept {
    const char* const ambient = std::getenv("UCX_TLS");
    return !lanes.empty() ? std::string_view(lanes) : ambient != nullptr ? std::string_view(ambient) : std::string_view();
  }
  static bool may_use(const std::string& lanes, std::initializer_list<std::string_view> names) noexcept {
    const std::string_view all = chosen(lanes);
    if (all.empty() || all.front() == '^') return true;
    for (const std::string_view each : names) {
      if (all.find(each) != std::string_view::npos) return true;
    }
    return false;
  }
  /// Where that is asked for, or left to UCX on a host that has an RDMA device; else UCX warns of settings for it.
  static bool uses_rc(const choice& wanted) noexcept {
    const std::string_view all = chosen(wanted.lanes);
    const bool named = all.find("rc") != std::string_view::npos;
    if (!all.starts_with('^')) {
      if (named) return true;
    } else if (named || all.find("ib") != std::string_view::npos) {
      return false;
    }
    return may_use(wanted.lanes, {"all", "ib"}) && wanted.devices.empty() && std::getenv("UCX_NET_DEVICES") == nullptr && has_rdma_device();
  }
  /// Whether so many can be opened now.
  static bool descriptors_left(std::size_t count) noexcept {
    const int first = count != 0 ? ::open("/dev/null", O_RDONLY | O_CLOEXEC) : -1;
    if (count == 0 || first < 0) return count == 0;
    const bool rest = descriptors_left(count - 1);
    ::close(first);
    return rest;
  }
  static bool has_rdma_device() noexcept {
    DIR* const all = opendir("/sys/class/infiniband");
    if (all == nullptr) return false;
    bool any = false;
    while (const dirent* const each = readdir(all)) any = any || each->d_name[0] != '.';
    closedir(all);
    return any;
  }

  std::shared_ptr<ucx_context> context_;
  ucp_worker_h worker_ = nullptr;
};

}  // namespace lading::detail
