// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <span>
#include <string_view>
#include <vector>

#include <lading/transport/region.hpp>
#include <lading/transport/transfer.hpp>

namespace lading {

/// Moves bytes between registered regions of connected endpoints. transports/README.md says what each operation promises.
template <class Candidate>
concept transport =
    std::movable<Candidate> && requires(Candidate& one, const Candidate& same, bytes_span memory, bytes_view blob, const region& exported,
                                        remote_region_id imported, peer_id peer, std::span<const slice> slices, const prepared_batch& prepared,
                                        submit_options options, std::chrono::nanoseconds timeout, notification& taken) {
      { same.name() } noexcept -> std::convertible_to<std::string_view>;
      { same.capabilities() } noexcept -> std::same_as<capabilities>;
      { same.identity() } noexcept -> std::same_as<endpoint_identity>;
      { same.metrics() } noexcept -> std::same_as<transport_metrics>;
      { one.register_region(memory) } -> std::same_as<result<region>>;
      { one.allocate_region(std::size_t{}) } -> std::same_as<result<region>>;
      { one.export_region(exported) } -> std::same_as<result<std::vector<std::byte>>>;
      { one.import_region(peer, blob) } -> std::same_as<result<remote_region_id>>;
      { one.release_region(imported) } -> std::same_as<result<void>>;
      { same.address() } -> std::same_as<result<std::vector<std::byte>>>;
      { one.connect(blob, timeout) } -> std::same_as<result<peer_id>>;
      { one.disconnect(peer) } noexcept;
      { same.peer_identity(peer) } -> std::same_as<result<endpoint_identity>>;
      { one.submit(peer, op::put, slices, options) } -> std::same_as<result<transfer>>;
      { one.prepare(peer, op::put, slices) } -> std::same_as<result<prepared_batch>>;
      { one.submit(prepared, options) } -> std::same_as<result<transfer>>;
      { one.progress() } noexcept -> std::convertible_to<std::size_t>;
      { one.next_notification(taken) } noexcept -> std::same_as<bool>;
      { same.event_fd() } noexcept -> std::same_as<int>;
    };

}  // namespace lading
