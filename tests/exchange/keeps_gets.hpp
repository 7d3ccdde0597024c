// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <utility>
#include <vector>

#include <lading/transports/loopback.hpp>

namespace lading::store_conformance {

/// A transport that keeps what it gets, or puts, with it until it is let go, so that transfers end before their bytes come.
struct keeps_gets final : driver {
  struct fate {
    op direction = op::get;
    std::atomic<bool> keep{false};  // takes gets, or puts, and does not begin them
    std::atomic<bool> hold{false};  // nor those that it took before
    std::size_t kept = 0;
  };
  explicit keeps_gets(fate& shared) : told(shared) {}
  std::string_view name() const noexcept override { return inner.name(); }
  lading::capabilities capabilities() const noexcept override {
    auto can = inner.capabilities();
    can.concurrent_post = false;
    return can;
  }
  result<void> start(driver_host& host) override { return inner.start(host); }
  void stop() noexcept override { inner.stop(); }
  result<std::unique_ptr<driver_connection>> connect(const endpoint_address& address) override { return inner.connect(address); }
  result<std::unique_ptr<driver_remote>> import_key(driver_connection& peer, const region_descriptor& region) override {
    return inner.import_key(peer, region);
  }
  std::size_t post(batch& work, std::size_t first) noexcept override {
    if (!told.keep || work.direction() != told.direction || work.size() == 0) return inner.post(work, first);
    if (!work.durable()) return 0;
    waiting.push_back({&work.token(), first});
    ++told.kept;
    return work.size() - first;
  }
  bool notify(driver_connection& peer, std::uint64_t tag, operation& token) noexcept override { return inner.notify(peer, tag, token); }
  std::size_t progress() noexcept override {
    std::size_t happened = inner.progress();
    if (told.keep || told.hold) return happened;
    for (const auto& [token, first] : std::exchange(waiting, {})) {
      batch late(*token);
      static_cast<void>(inner.post(late, first));
      ++happened;
    }
    return happened;
  }

  detail::loopback_driver inner{loopback_options{.workers = 1}};
  fate& told;
  std::vector<std::pair<operation*, std::size_t>> waiting;
};

}  // namespace lading::store_conformance
