// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <utility>

#include <lading/core/bytes.hpp>
#include <lading/core/checked.hpp>
#include <lading/core/result.hpp>
#include <lading/memory/aligned_buffer.hpp>
#include <lading/memory/copy.hpp>
#include <lading/pack/aligned.hpp>
#include <lading/pack/checksum.hpp>
#include <lading/pack/layout.hpp>
#include <lading/pack/pack.hpp>

namespace lading {

namespace detail {
struct gather_planner;
}

/// Bytes and where they belong in the packed buffer.
struct gather_part {
  bytes_view source;
  std::size_t offset = 0;
};

/// A packed buffer that has not been put together: parts that cover it without holes, in order, none of them empty.
///
/// Lifetime: owns head(); the payloads are borrowed from the items, which must outlive the plan. Moving it keeps all views valid.
class gather_plan {
 public:
  /// Header, table and a few zeros: the only memory that the plan brings along, for transports that must register what they read.
  [[nodiscard]] bytes_view head() const& noexcept { return head_.span(); }
  void head() const&& = delete;

  /// All parts: from head() for header, table and gaps, and from the items for payloads.
  [[nodiscard]] std::span<const gather_part> parts() const& noexcept {
    // Safety: plan_gather constructed `count_` parts there.
    return {std::launder(reinterpret_cast<const gather_part*>(parts_.data())), count_};
  }
  void parts() const&& = delete;

  /// Of the packed buffer, in bytes.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  /// Puts the buffer together in `target` and returns its size: the bytes that pack_into would have written.
  ///
  /// Errors: as pack_into; then nothing has been written.
  [[nodiscard]] result<std::size_t> execute(bytes_span target) const {
    if (target.size() < size_) {
      return fail(errc::buffer_too_small, {.needed = size_, .available = target.size(), .what = "pass a target of plan.size() bytes"});
    }
    const auto all = parts();
    for (const gather_part& part : all) {
      if (detail::ranges_overlap(part.source.data(), part.source.size(), target.data(), size_)) {
        return fail(errc::invalid_argument, {.offset = part.offset, .what = "a part lies inside the target: gather into other memory"});
      }
    }
    for (const gather_part& part : all) {
      copy_bytes(target.data() + part.offset, part.source.data(), part.source.size(), detail::pack_copy_mode(size_, part.source.size()));
    }
    return size_;
  }

 private:
  friend struct detail::gather_planner;
  gather_plan() noexcept = default;

  void add(bytes_view source, std::size_t offset) noexcept {
    if (source.empty()) return;
    ::new (static_cast<void*>(parts_.data() + count_ * sizeof(gather_part))) gather_part{source, offset};
    ++count_;
  }

  aligned_buffer head_;
  aligned_buffer parts_;
  std::size_t count_ = 0;
  std::size_t size_ = 0;
};

namespace detail {

struct gather_planner {
  template <class Layout, class Items>
  static result<gather_plan> plan(const Items& items, const pack_options& options) {
    const std::size_t count = std::size(items);
    std::size_t parts_size = 0;
    if (!checked_add<std::size_t>(count, count, parts_size) || !checked_multiply<std::size_t>(parts_size + 1, sizeof(gather_part), parts_size)) {
      return packed_size_overflow(count, error_details::unset, error_details::unset);
    }
    const auto packed_size = calc_packed_size<Layout>(items);
    if (!packed_size) return fail(packed_size.error());
    const bool checked = Layout::has_checksum && options.checksum;
    constexpr std::size_t zeros = Layout::payload_alignment - 1;

    payload_cursor<Layout> cursor(count);
    const std::size_t table_end = cursor.end();
    auto head = aligned_buffer::allocate(table_end + zeros);
    if (!head) return fail(head.error());
    auto parts = aligned_buffer::allocate(parts_size);
    if (!parts) return fail(parts.error());

    gather_plan plan;
    plan.head_ = std::move(*head);
    plan.parts_ = std::move(*parts);
    plan.size_ = *packed_size;
    std::byte* const base = plan.head_.data();
    std::memset(base + table_end, 0, zeros);
    plan.add({base, table_end}, 0);
    std::byte* entry_place = base + Layout::header_size;
    for (std::size_t i = 0; i < count; ++i) {
      const bytes_view item = frame_of(items, i);
      const std::size_t gap = cursor.end();
      std::size_t offset = 0;
      if (!cursor.place(item.size(), offset)) [[unlikely]]
        return size_changed(i);
      plan.add({base + table_end, offset - gap}, gap);
      plan.add(item, offset);
      Layout::write_entry(entry_place, {offset, item.size(), checked ? checksum_of(item.data(), item.size()) : 0});
      entry_place += Layout::entry_size;
    }
    if (cursor.end() != *packed_size) [[unlikely]]
      return size_changed(count - 1);
    Layout::write_header(base, {.count = count, .size = *packed_size, .schema = Layout::has_schema ? options.schema : 0, .checked = checked});
    return plan;
  }
};

}  // namespace detail

/// Plans the packed buffer of `items` for a transport that gathers: executing the plan yields pack_into's bytes.
///
/// Errors:     size_overflow, no_memory.
/// Lifetime:   borrows the payloads of `items`, not the range itself; temporaries that own payloads are rejected.
/// Complexity: two allocations; reads the payloads only for their checksums.
template <packed_layout Layout = layout::aligned, frame_range Items>
[[nodiscard]] result<gather_plan> plan_gather(const Items& items, const pack_options& options = {}) {
  return detail::gather_planner::plan<Layout>(items, options);
}

/// The plan would outlive the payloads: keep the items in a variable.
template <packed_layout Layout = layout::aligned, frame_range Items>
  requires(detail::owning_temporary<Items> && !detail::lists_views<Items>)
result<gather_plan> plan_gather(Items&& items, const pack_options& options = {}) = delete;

}  // namespace lading
