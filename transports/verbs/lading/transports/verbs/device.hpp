// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// A device, the address at which it is reached, and who listens there.

#include <cerrno>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>
#include <sys/mman.h>

#include <lading/transport/endpoint_core.hpp>
#include <lading/transports/verbs/message.hpp>

namespace lading {

/// How a verbs endpoint works, besides what every endpoint has.
struct verbs_options {
  std::string device = {};           ///< as `ibv_devices` names it, "mlx5_0" or "mlx5_0:1" with the port; empty = the first with an active port
  int gid_index = -1;                ///< place in the port's table; -1 = the first RoCE v2 one of an IPv4 address, else the first that can be used
  std::string host = {};             ///< the local IP address to use; empty = that of the GID
  std::uint16_t port = 0;            ///< to listen at; 0 = the kernel chooses
  std::size_t window = 512;          ///< work requests under way per peer
  std::size_t signal_every = 64;     ///< of so many work requests one asks for a completion, and the last of each chain
  std::uint8_t ack_timeout = 14;     ///< 4.096 µs x 2^n until the hardware sends again: 14 is 67 ms; 1 to 31
  std::uint8_t retry_count = 7;      ///< times that it does, until the peer is lost; 0 to 7
  std::uint8_t rnr_retry_count = 6;  ///< the same where the peer has no buffer for a message; 7 = without end
  std::uint8_t rnr_timer = 12;       ///< how long it is asked to wait then, in the hardware's code: 12 is 0.64 ms; 0 to 31
  std::chrono::nanoseconds heartbeat = std::chrono::milliseconds(500);  ///< between messages to a peer that owes an answer
  std::chrono::nanoseconds stall_limit = std::chrono::seconds(10);      ///< silence, plus 20 ns per byte under way: then peer_stalled
  std::chrono::nanoseconds mend_limit = std::chrono::seconds(5);        ///< time to connect anew after the hardware refused a slice
  std::size_t max_wires = 4096;                                         ///< connections at a time, both ways together
  endpoint_options endpoint = {};
};

namespace detail {

/// The error of a call into rdma-core that sets errno; native() is that.
[[nodiscard]] inline error verbs_error(int number, const char* what) noexcept {
  const errc code = number == ENOMEM || number == EMFILE || number == ENFILE ? errc::no_memory : errc::backend_failure;
  return error(code, {.native = number, .what = what});
}

template <class Resource, auto Destroy>
struct verbs_delete {
  void operator()(Resource* one) const noexcept { static_cast<void>(Destroy(one)); }
};
using verbs_list = std::unique_ptr<ibv_device*, verbs_delete<ibv_device*, &ibv_free_device_list>>;
using verbs_context = std::unique_ptr<ibv_context, verbs_delete<ibv_context, &ibv_close_device>>;
using verbs_events = std::unique_ptr<rdma_event_channel, verbs_delete<rdma_event_channel, &rdma_destroy_event_channel>>;
using verbs_id = std::unique_ptr<rdma_cm_id, verbs_delete<rdma_cm_id, &rdma_destroy_id>>;
using verbs_domain = std::unique_ptr<ibv_pd, verbs_delete<ibv_pd, &ibv_dealloc_pd>>;
using verbs_channel = std::unique_ptr<ibv_comp_channel, verbs_delete<ibv_comp_channel, &ibv_destroy_comp_channel>>;
using verbs_queue = std::unique_ptr<ibv_cq, verbs_delete<ibv_cq, &ibv_destroy_cq>>;
using verbs_registration = std::unique_ptr<ibv_mr, verbs_delete<ibv_mr, &ibv_dereg_mr>>;

/// Where an endpoint could listen.
struct verbs_place {
  verbs_address address{};
  std::uint32_t scope = 0;  ///< interface of a link-local address
  std::string device{};     ///< that it must belong to; empty = any
  std::uint8_t port = 0;    ///< likewise; 0 = any
  int rank = 0;             ///< the lower, the better
};

/// The value of options that no device is needed to judge.
///
/// Errors: invalid_argument, naming the option.
[[nodiscard]] inline result<void> check(const verbs_options& options) noexcept {
  const auto wrong = [](std::uint64_t got, std::uint64_t limit, const char* what) {
    return fail(errc::invalid_argument, {.needed = got, .available = limit, .what = what});
  };
  if (options.ack_timeout == 0 || options.ack_timeout > 31) return wrong(options.ack_timeout, 31, "ack_timeout is 1 to 31");
  if (options.retry_count > 7) return wrong(options.retry_count, 7, "retry_count is 0 to 7");
  if (options.rnr_retry_count > 7) return wrong(options.rnr_retry_count, 7, "rnr_retry_count is 0 to 7");
  if (options.rnr_timer > 31) return wrong(options.rnr_timer, 31, "rnr_timer is 0 to 31");
  if (options.window == 0 || options.window > 65'536) return wrong(options.window, 65'536, "window is 1 to 65,536");
  if (options.signal_every == 0) return wrong(0, 1, "signal_every is at least 1");
  if (options.heartbeat.count() <= 0 || options.stall_limit.count() <= 0 || options.mend_limit.count() <= 0) {
    return wrong(1, 0, "heartbeat, stall_limit and mend_limit are times above 0");
  }
  if (options.gid_index < -1) return wrong(0, 0, "gid_index is -1 or a place in the port's table");
  return {};
}

/// The device and the port (0 = any) of an option such as "mlx5_0:1".
///
/// Errors: invalid_argument for a port that is no number from 1 to 254.
[[nodiscard]] inline result<std::pair<std::string, std::uint8_t>> split_device(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return std::pair{std::string(text), std::uint8_t{0}};
  unsigned port = 0;
  const std::string_view digits = text.substr(colon + 1);
  for (const char each : digits) port = each >= '0' && each <= '9' && port < 255 ? port * 10 + static_cast<unsigned>(each - '0') : 999;
  if (colon == 0 || digits.empty() || port == 0 || port > 254)
    return fail(errc::invalid_argument, {.what = "the option device is a name, or a name, a colon and the number of a port"});
  return std::pair{std::string(text.substr(0, colon)), static_cast<std::uint8_t>(port)};
}

/// Errors: invalid_argument for what is no IPv4 or IPv6 address.
[[nodiscard]] inline result<verbs_address> parse_host(const std::string& text) noexcept {
  in_addr v4{};
  in6_addr v6{};
  verbs_address address;
  if (::inet_pton(AF_INET, text.c_str(), &v4) == 1) {
    address = verbs_address::from_v4(v4);
  } else if (::inet_pton(AF_INET6, text.c_str(), &v6) == 1) {
    address = verbs_address::from_v6(&v6);
  } else {
    return fail(errc::invalid_argument, {.what = "the option host is an IPv4 or IPv6 address in numbers"});
  }
  if (!address.names_a_host())
    return fail(errc::invalid_argument, {.what = "the option host names no single host: give the address of one interface"});
  return address;
}

/// Adds what the port's GIDs say, and where they are no IP addresses (InfiniBand), all addresses of the host: binding finds out which are its own.
inline void add_places(std::vector<verbs_place>& places, ibv_context* context, const char* name, std::uint8_t port, int gid_index) {
  ibv_device_attr device{};
  ibv_port_attr state{};
  if (ibv_query_device(context, &device) != 0 || ibv_query_port(context, port, &state) != 0 || state.state != IBV_PORT_ACTIVE) return;
  const std::size_t first = places.size();
  if (state.link_layer == IBV_LINK_LAYER_ETHERNET) {
    std::vector<ibv_gid_entry> table(static_cast<std::size_t>(state.gid_tbl_len > 0 ? state.gid_tbl_len : 0) * device.phys_port_cnt);
    const auto count = ibv_query_gid_table(context, table.data(), table.size(), 0);
    for (ssize_t i = 0; i < count; ++i) {
      const ibv_gid_entry& entry = table[static_cast<std::size_t>(i)];
      if (entry.port_num != port || (gid_index >= 0 && entry.gid_index != static_cast<std::uint32_t>(gid_index))) continue;
      const verbs_address address = verbs_address::from_v6(entry.gid.raw);
      if (!address.names_a_host()) continue;
      const int rank = (address.is_v4() ? 0 : address.is_link_local() ? 4 : 2) + (entry.gid_type == IBV_GID_TYPE_ROCE_V2 ? 0 : 1);
      places.push_back({address, entry.ndev_ifindex, name, port, rank});
    }
  } else if (ifaddrs* all = nullptr; gid_index < 0 && ::getifaddrs(&all) == 0) {
    for (const ifaddrs* each = all; each != nullptr; each = each->ifa_next) {
      if (each->ifa_addr == nullptr) continue;
      verbs_place place{.device = name, .port = port};
      if (each->ifa_addr->sa_family == AF_INET) {
        sockaddr_in v4{};
        std::memcpy(&v4, each->ifa_addr, sizeof v4);
        place.address = verbs_address::from_v4(v4.sin_addr);
      } else if (each->ifa_addr->sa_family == AF_INET6) {
        sockaddr_in6 v6{};
        std::memcpy(&v6, each->ifa_addr, sizeof v6);
        place.address = verbs_address::from_v6(&v6.sin6_addr);
        place.scope = v6.sin6_scope_id;
        place.rank = 1;
      } else {
        continue;
      }
      if (place.address.names_a_host()) places.push_back(std::move(place));
    }
    ::freeifaddrs(all);
  }
  std::stable_sort(places.begin() + static_cast<std::ptrdiff_t>(first), places.end(), [](const auto& a, const auto& b) { return a.rank < b.rank; });
}

/// Where to try to listen, best first.
///
/// Errors: unsupported where the host has no RDMA device or none with an active port, invalid_argument for options that name what is not there.
[[nodiscard]] inline result<std::vector<verbs_place>> find_places(const verbs_options& options) {
  if (auto checked = check(options); !checked) return fail(checked.error());
  auto wanted = split_device(options.device);
  if (!wanted) return fail(wanted.error());
  const auto& [wanted_name, wanted_port] = *wanted;
  verbs_place fixed{.device = wanted_name, .port = wanted_port};
  if (!options.host.empty()) {
    auto host = parse_host(options.host);
    if (!host) return fail(host.error());
    fixed.address = *host;
  }

  int count = 0;
  const verbs_list list(ibv_get_device_list(&count));
  if (list == nullptr || count == 0) {
    return fail(errc::unsupported, {.native = list == nullptr ? errno : 0,
                                    .what = "this host has no RDMA device: load the driver of its card, or rdma_rxe for RoCE in software"});
  }
  std::vector<verbs_place> places;
  bool named = wanted_name.empty();
  for (int i = 0; i < count; ++i) {
    ibv_device* const device = list.get()[i];
    const char* const name = ibv_get_device_name(device);
    if (name == nullptr || (!wanted_name.empty() && wanted_name != name)) continue;
    named = true;
    if (device->transport_type != IBV_TRANSPORT_IB) continue;  // InfiniBand and RoCE: iWARP has other rules for keys and reads
    if (!options.host.empty()) continue;
    const verbs_context context(ibv_open_device(device));
    ibv_device_attr attributes{};
    if (context == nullptr || ibv_query_device(context.get(), &attributes) != 0) continue;
    for (unsigned port = 1; port <= attributes.phys_port_cnt; ++port) {
      if (wanted_port == 0 || port == wanted_port) add_places(places, context.get(), name, static_cast<std::uint8_t>(port), options.gid_index);
    }
  }
  if (!named) return fail(errc::invalid_argument, {.what = "the option device names none of this host: `ibv_devices` lists them"});
  if (!options.host.empty()) places.push_back(std::move(fixed));
  if (places.empty()) {
    return options.gid_index >= 0
               ? fail(errc::invalid_argument, {.what = "no active port has an address at that gid_index: `ibv_devinfo -v` lists them"})
               : fail(errc::unsupported, {.what = "no port of an RDMA device is active and has an address: see `rdma link` and `ip address`"});
  }
  return places;
}

/// An open device with one listener. Registrations share it, because they may outlive their endpoint.
struct verbs_device {
  verbs_events events;
  verbs_id anchor;    ///< keeps the connection manager's context of the device open
  verbs_id listener;  ///< gone once its endpoint has stopped
  verbs_domain domain;
  verbs_channel channel;
  verbs_address address;
  std::uint32_t scope = 0;
  ibv_device_attr limits{};
  std::uint64_t largest_message = 0;

  [[nodiscard]] ibv_context* context() const noexcept { return anchor->verbs; }

  [[nodiscard]] result<verbs_id> make_id(void* argument) const noexcept {
    rdma_cm_id* made = nullptr;
    if (rdma_create_id(events.get(), &made, argument, RDMA_PS_TCP) != 0)
      return fail(verbs_error(errno, "the RDMA connection manager gives no handle"));
    return verbs_id(made);
  }

  /// Opens the best place that there is, and listens there.
  ///
  /// Errors: those of find_places, no_memory, and backend_failure with errno.
  [[nodiscard]] static result<std::shared_ptr<verbs_device>> open(const verbs_options& options) {
    auto places = find_places(options);
    if (!places) return fail(places.error());
    auto made = std::make_shared<verbs_device>();
    made->events.reset(rdma_create_event_channel());
    if (made->events == nullptr) return fail(verbs_error(errno, "the RDMA connection manager is not there: load rdma_ucm"));
    if (!set_nonblocking(made->events->fd)) return fail(verbs_error(errno, "the connection manager's descriptor cannot be polled"));
    int why = 0;
    for (const verbs_place& place : *places) {
      auto bound = made->bind(place.address.socket_address(place.scope));
      if (!bound) {
        why = bound.error().native();
        continue;
      }
      const rdma_cm_id& id = **bound;
      if (!place.device.empty() && place.device != ibv_get_device_name(id.verbs->device)) continue;
      if (place.port != 0 && place.port != id.port_num) continue;
      made->anchor = std::move(*bound);
      made->address = place.address;
      made->scope = place.scope;
      break;
    }
    if (made->anchor == nullptr) return fail(verbs_error(why, "no address of the RDMA device could be bound: is host one of this device's?"));
    if (auto opened = made->set_up(options); !opened) return fail(opened.error());
    return made;
  }

  static bool set_nonblocking(int fd) noexcept {
    const int flags = ::fcntl(fd, F_GETFL);
    return flags >= 0 && ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
  }

 private:
  [[nodiscard]] result<verbs_id> bind(sockaddr_storage local) const noexcept {
    auto id = make_id(nullptr);
    if (!id) return fail(id.error());
    // Safety: a sockaddr_storage is made to be passed as any sockaddr.
    if (rdma_bind_addr(id->get(), reinterpret_cast<sockaddr*>(&local)) != 0) return fail(verbs_error(errno, "cannot bind"));
    if ((*id)->verbs == nullptr) return fail(verbs_error(ENODEV, "the address belongs to no RDMA device"));
    return id;
  }

  [[nodiscard]] result<void> set_up(const verbs_options& options) noexcept {
    verbs_address wanted = address;
    wanted.port = options.port;
    auto bound = bind(wanted.socket_address(scope));
    if (!bound) return fail(error(bound.error().code(), {.native = bound.error().native(), .what = "cannot listen: is the option port taken?"}));
    listener = std::move(*bound);
    if (rdma_listen(listener.get(), 128) != 0) return fail(verbs_error(errno, "cannot listen: is the option port taken?"));
    address.port = ntohs(rdma_get_src_port(listener.get()));
    ibv_port_attr port{};
    if (const int number = ibv_query_device(context(), &limits); number != 0) return fail(verbs_error(number, "the RDMA device does not answer"));
    if (const int number = ibv_query_port(context(), anchor->port_num, &port); number != 0)
      return fail(verbs_error(number, "the RDMA device's port does not answer"));
    largest_message = std::clamp<std::uint64_t>(port.max_msg_sz, 1, std::uint64_t{1} << 30);
    domain.reset(ibv_alloc_pd(context()));
    if (domain == nullptr) return fail(verbs_error(errno, "the RDMA device gives no protection domain"));
    channel.reset(ibv_create_comp_channel(context()));
    if (channel == nullptr) return fail(verbs_error(errno, "the RDMA device gives no completion channel"));
    if (!set_nonblocking(channel->fd)) return fail(verbs_error(errno, "the completion channel cannot be polled"));
    return {};
  }
};

/// Page-aligned memory of the host; in huge pages where it is large, because then the hardware has fewer to look up.
struct verbs_pages {
  struct release {
    std::align_val_t alignment{4096};
    void operator()(std::byte* bytes) const noexcept { ::operator delete(bytes, alignment); }
  };
  using owner = std::unique_ptr<std::byte, release>;

  [[nodiscard]] static owner allocate(std::size_t size) noexcept {
    constexpr std::size_t huge = std::size_t{2} << 20;
    const std::align_val_t alignment{size < huge ? 4096 : huge};
    owner made(static_cast<std::byte*>(::operator new(size, alignment, std::nothrow)), release{alignment});
    if (made == nullptr) return made;
    if (size >= huge) static_cast<void>(::madvise(made.get(), size, MADV_HUGEPAGE));
    std::memset(made.get(), 0, size);
    return made;
  }
};

/// Registered memory.
struct verbs_memory final : driver_memory {
  verbs_pages::owner pages;              ///< of what the endpoint allocated
  std::shared_ptr<verbs_device> device;  // outlives the registration
  verbs_registration registration;
  std::uint64_t base = 0;  ///< of verbs_key
};

}  // namespace detail
}  // namespace lading
