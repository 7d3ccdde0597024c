// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// What the tests of the verbs transport share: whether there is hardware, and a peer in a process of its own.

#include <support/peer_process.hpp>
#include <transport/conformance.hpp>

#include <lading/transports/verbs.hpp>

namespace verbs_test {
using namespace lading;

/// Why there can be no endpoint on this host; empty where there can be one.
inline std::string unavailable() {
  static const std::string why = [] {
    const auto made = verbs::create();
    return made ? std::string() : made.error().message();
  }();
  return why;
}

/// A test that needs a device.
class on_device : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = unavailable(); !why.empty()) GTEST_SKIP() << why;
  }
};

struct rig {
  // Soft-RoCE under emulation moves some 50 MB/s; 16 MiB are two messages of its largest size.
  static constexpr std::size_t largest_slice = std::size_t{16} << 20;
  static constexpr std::size_t many_slices = 20'000;
  static constexpr std::size_t connection_cycles = 60;

  static std::string unavailable() { return verbs_test::unavailable(); }
  result<verbs> make(const endpoint_options& options) { return verbs::create({.endpoint = options}); }
  std::unique_ptr<conformance::foreign_peer> spawn_peer(std::size_t size) {
    return std::make_unique<peer_process::process>(std::vector<std::string>{"--verbs-peer", std::to_string(size)});
  }
};

}  // namespace verbs_test
