// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include <lading/core/bytes.hpp>
#include <lading/core/config.hpp>
#include <lading/memory/aligned_buffer.hpp>

namespace lading {

namespace detail {
struct frames_builder;
}

/// One encoded value: frame 0 is the head, the others are its large arrays. A contiguous range of bytes_view; movable, not copyable.
///
/// Lifetime: owns the head, and gathered copies of tensors that were not contiguous; the other frames point into the encoded value, which
///           must outlive them and must not be changed.
class frames {
 public:
  using value_type = bytes_view;
  using const_iterator = const bytes_view*;
  using iterator = const_iterator;

  [[nodiscard]] std::size_t size() const noexcept { return views_.size(); }
  [[nodiscard]] bool empty() const noexcept { return views_.empty(); }
  [[nodiscard]] const_iterator begin() const noexcept { return views_.data(); }
  [[nodiscard]] const_iterator end() const noexcept { return begin() + size(); }
  [[nodiscard]] bytes_view operator[](std::size_t index) const noexcept {
    LADING_ASSERT(index < size());
    return views_[index];
  }

 private:
  friend struct detail::frames_builder;
  frames() = default;

  aligned_buffer head_;
  std::vector<aligned_buffer> gathered_;
  std::vector<bytes_view> views_;
};

namespace detail {

template <>
inline constexpr bool lists_own_bytes<frames> = true;

struct frames_builder {
  static frames make() { return {}; }
  static aligned_buffer& head(frames& made) noexcept { return made.head_; }
  static void add(frames& made, bytes_view frame) { made.views_.push_back(frame); }
  static void adopt(frames& made, aligned_buffer&& owned) {
    made.views_.push_back(bytes_view{owned});
    made.gathered_.push_back(std::move(owned));
  }
};

}  // namespace detail
}  // namespace lading
