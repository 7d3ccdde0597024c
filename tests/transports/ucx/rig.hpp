// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// What the tests of the ucx transport share: its lanes, and a peer in a process of its own.

#include <cstdlib>

#include <transport/conformance.hpp>

#include <lading/transports/ucx.hpp>

#if defined(__linux__)
#include <support/peer_process.hpp>
#endif

namespace ucx_test {
using namespace lading;

struct tcp {
  static constexpr const char* lanes = "tcp";
  static constexpr bool shares_regions = false;
};
/// By messages through shared memory.
struct shared_memory {
  static constexpr const char* lanes = "posix,sysv,self,cma";
  static constexpr bool shares_regions = false;
};
/// Copying to and from regions that the peer allocated.
struct shared_regions {
  static constexpr const char* lanes = shared_memory::lanes;
  static constexpr bool shares_regions = true;
};
/// What LADING_UCX_LANES says, such as "rc"; where it is set but empty, what UCX_TLS says.
struct chosen {
  static inline const char* const wanted = std::getenv("LADING_UCX_LANES");
  static inline const char* const lanes = wanted != nullptr ? wanted : "";
  static constexpr bool shares_regions = false;
};

/// Why there can be no connection over these lanes on this host; empty where there can be one. It is bare UCX that says so.
template <class Lanes>
std::string unavailable() {
  static const std::string why = []() -> std::string {
    if (std::is_same_v<Lanes, chosen> && chosen::wanted == nullptr) return "LADING_UCX_LANES names no lanes";
    if (Lanes::shares_regions && lading::detail::host_number() == 0) return "this host's processes cannot be told apart and watched";
    if (Lanes::shares_regions && lading::detail::shared_memory::create(1, 1) == nullptr)
      return "this host has no memory that can be shared and sealed";
    lading::detail::ucx_worker one, other;
    for (auto* const worker : {&one, &other}) {
      const auto ignore = [](void*, const void*, std::size_t, void*, std::size_t, const ucp_am_recv_param_t*) { return UCS_OK; };
      if (auto opened = worker->open({Lanes::lanes, {}, {}}, ignore, nullptr); !opened)
        return std::string("no lane of \"") + Lanes::lanes + "\": " + opened.error().message();
    }
    // Who names lanes wants to see them fail. And UCX 1.13 aborts where an endpoint over rc is closed before its first message.
    if (std::is_same_v<Lanes, chosen>) return {};
    const auto address = other.address();
    if (!address) return address.error().message();
    ucp_ep_params_t params{};
    params.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS | UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE;
    // Safety: these are the bytes of a worker's address.
    params.address = reinterpret_cast<const ucp_address_t*>(address->data());
    params.err_mode = UCP_ERR_HANDLING_MODE_PEER;
    ucp_ep_h ep = nullptr;
    const auto status = ucp_ep_create(one.get(), &params, &ep);
    if (status != UCS_OK) return std::string("no lane of \"") + Lanes::lanes + "\" connects two workers: " + ucs_status_string(status);
    ucp_request_param_t how{};
    how.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS;
    how.flags = UCP_EP_CLOSE_FLAG_FORCE;
    if (const auto closing = ucp_ep_close_nbx(ep, &how); UCS_PTR_IS_PTR(closing)) {
      while (ucp_request_check_status(closing) == UCS_INPROGRESS) one.progress();
      ucp_request_free(closing);
    }
    return {};
  }();
  return why;
}

/// A test that runs on several lanes, those that the host has.
template <class Lanes>
class on_lanes : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = unavailable<Lanes>(); !why.empty()) GTEST_SKIP() << why;
  }
};

template <class Lanes>
result<ucx> make(const endpoint_options& options, const auto& change) {
  ucx_options all;
  all.endpoint = options;
  all.lanes = Lanes::lanes;
  change(all);
  return ucx::create(all);
}
template <class Lanes>
result<ucx> make(const endpoint_options& options = {}) {
  return make<Lanes>(options, [](ucx_options&) {});
}

#if defined(__linux__)

/// This program again, as a peer: `--ucx-peer LANES SIZE registered|shared`; see peer_main.
class process final : public peer_process::process {
 public:
  process(const char* lanes, std::size_t size, bool shares_region = false)
      : peer_process::process({"--ucx-peer", lanes, std::to_string(size), shares_region ? "shared" : "registered"}) {}
};

/// What the peer's process does, by peer_process::serve. Asked 'i', it answers whether the guards are intact; 'd' deregisters the region; 'r' tells
/// whether it has refused anything; 'c' closes the endpoint.
/// A region that it shares has neighbours as guards: the regions allocated before and after it.
inline int peer_main(const char* lanes, std::size_t size, bool shares_region) {
  auto made = ucx::create({.lanes = lanes});
  if (!made) return 2;
  conformance::guarded_memory memory(shares_region ? 1 : size);
  std::vector<region> neighbours;
  const auto add_neighbour = [&] {
    if (!shares_region) return;
    neighbours.push_back(made->allocate_region(size).value());
    std::memset(neighbours.back().data(), 0x77, size);
  };
  add_neighbour();
  auto registered = shares_region ? made->allocate_region(size) : made->register_region(memory.bytes());
  add_neighbour();
  const auto intact = [&] {
    return memory.intact() && std::all_of(neighbours.begin(), neighbours.end(), [](const region& each) {
             return std::all_of(each.bytes().begin(), each.bytes().end(), [](std::byte one) { return one == std::byte{0x77}; });
           });
  };
  if (!registered) return 3;
  return peer_process::serve(made, *registered, [&](char letter) {
    if (letter == 'c') made = fail(errc::closed);
    return letter == 'c' || (letter == 'i' && intact()) || (letter == 'd' && registered->deregister().has_value()) ||
           (letter == 'r' && made->refusals().count != 0);
  });
}

#endif

template <class Lanes>
struct rig {
  static constexpr bool shares_regions = Lanes::shares_regions;
  static std::string unavailable() { return ucx_test::unavailable<Lanes>(); }
  result<ucx> make(const endpoint_options& options) { return ucx_test::make<Lanes>(options); }
#if defined(__linux__)
  std::unique_ptr<conformance::foreign_peer> spawn_peer(std::size_t size) { return std::make_unique<process>(Lanes::lanes, size, shares_regions); }
#endif
};

}  // namespace ucx_test
