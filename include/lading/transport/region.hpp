// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <lading/transport/endpoint_core.hpp>

namespace lading {

/// A part of a region, for one side of a slice. Borrows.
struct region_range {
  region_id region{};
  std::uint64_t offset = 0;
  bytes_span bytes;
};

/// Memory that is registered with an endpoint: register once, in slabs, and hand out ranges.
///
/// Lifetime: registered memory stays its owner's and must outlive the region; allocated memory lives as long as the region. Destroying a region
///           waits, up to endpoint_options::close_limit, for the transfers that use it; call deregister to learn whether any does. Memory that is still
///           in use after that must not be reused: an allocated one is kept until its last transfer ends.
/// Threads:    const functions from any thread.
class region {
 public:
  region() noexcept = default;
  region(std::shared_ptr<endpoint_core> core, region_id id, bytes_span bytes) noexcept : core_(std::move(core)), id_(id), bytes_(bytes) {}
  region(region&& other) noexcept
      : core_(std::move(other.core_)), id_(std::exchange(other.id_, region_id{})), bytes_(std::exchange(other.bytes_, {})) {}
  region& operator=(region&& other) noexcept {
    region(std::move(other)).swap(*this);
    return *this;
  }
  ~region() {
    if (id_ != region_id{}) core_->retire_region(id_);
  }

  [[nodiscard]] region_id id() const noexcept { return id_; }
  [[nodiscard]] bytes_span bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::byte* data() const noexcept { return bytes_.data(); }
  [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }
  [[nodiscard]] explicit operator bool() const noexcept { return id_ != region_id{}; }
  [[nodiscard]] bool belongs_to(const endpoint_core& core) const noexcept { return core_.get() == &core; }

  /// A part of it.
  ///
  /// Errors: out_of_range.
  [[nodiscard]] result<region_range> range(std::size_t offset, std::size_t size) const noexcept {
    if (!range_inside(offset, size, bytes_.size())) {
      return fail(errc::out_of_range, {.needed = size, .available = bytes_.size(), .offset = offset, .what = "the range reaches outside the region"});
    }
    return region_range{id_, offset, bytes_.subspan(offset, size)};
  }

  /// Ends the registration; waits for no transfer and no other thread. The region is empty afterwards, and stays as it was on an error.
  ///
  /// Errors: busy while a transfer of this side, or of a peer that this side knows of, uses it or is quarantined.
  [[nodiscard]] result<void> deregister() noexcept {
    if (id_ == region_id{}) return fail(errc::not_registered, {.what = "the region is empty"});
    if (auto removed = core_->remove_region(id_); !removed) return removed;
    id_ = region_id{};
    bytes_ = {};
    core_.reset();
    return {};
  }

  void swap(region& other) noexcept {
    std::swap(core_, other.core_);
    std::swap(id_, other.id_);
    std::swap(bytes_, other.bytes_);
  }

 private:
  std::shared_ptr<endpoint_core> core_;
  region_id id_{};
  bytes_span bytes_;
};

}  // namespace lading
