// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include <lading/codec/cursor.hpp>
#include <lading/core/bytes.hpp>
#include <lading/core/config.hpp>
#include <lading/core/result.hpp>
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
  /// Frames with a head of this size, still to be written, and these payloads: borrowed where they are contiguous, else gathered.
  [[nodiscard]] static result<frames> make(std::size_t head_size, const std::vector<payload>& payloads) {
    frames made;
    result<aligned_buffer> head = aligned_buffer::allocate(head_size);
    if (!head) return fail(head.error());
    made.head_ = std::move(*head);
    made.views_.reserve(1 + payloads.size());
    made.views_.push_back(bytes_view{made.head_});
    for (const payload& item : payloads) {
      if (item.contiguous()) {
        made.views_.push_back({item.data, item.size});
        continue;
      }
      result<aligned_buffer> copy = aligned_buffer::allocate(item.size);
      if (!copy) return fail(copy.error());
      item.gather(item.source, copy->data(), 0, item.size);
      made.views_.push_back(bytes_view{*copy});
      made.gathered_.push_back(std::move(*copy));
    }
    return made;
  }
  [[nodiscard]] static bytes_span head(frames& made) noexcept { return made.head_; }
};

}  // namespace detail
}  // namespace lading
