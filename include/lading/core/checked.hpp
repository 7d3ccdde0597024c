// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <limits>

namespace lading {

/// sum = left + right; false where it does not fit, and sum is then unspecified.
template <std::unsigned_integral Number>
[[nodiscard]] constexpr bool checked_add(Number left, Number right, Number& sum) noexcept {
  sum = static_cast<Number>(left + right);
  return sum >= left;
}

/// product = left * right; false where it does not fit, and product is then unspecified.
template <std::unsigned_integral Number>
[[nodiscard]] constexpr bool checked_multiply(Number left, Number right, Number& product) noexcept {
#if defined(__GNUC__) || defined(__clang__)
  return !__builtin_mul_overflow(left, right, &product);  // neither compiler makes this of the division below
#else
  if (right != 0 && left > std::numeric_limits<Number>::max() / right) return false;
  product = static_cast<Number>(left * right);
  return true;
#endif
}

/// rounded = the smallest multiple of `alignment` (a power of two) that is not below `value`; false where it does not fit.
template <std::unsigned_integral Number>
[[nodiscard]] constexpr bool checked_align_up(Number value, Number alignment, Number& rounded) noexcept {
  if (!checked_add<Number>(value, alignment - 1, rounded)) return false;
  rounded &= static_cast<Number>(~(alignment - 1));
  return true;
}

/// The smallest multiple of `alignment` (a power of two) that is not below `value`; the caller knows that it fits.
template <std::unsigned_integral Number>
[[nodiscard]] constexpr Number align_up(Number value, Number alignment) noexcept {
  return static_cast<Number>((value + (alignment - 1)) & ~(alignment - 1));
}

/// Whether `size` bytes at `offset` lie inside `total`, without a sum that could wrap.
[[nodiscard]] constexpr bool range_inside(std::unsigned_integral auto offset, std::unsigned_integral auto size,
                                          std::unsigned_integral auto total) noexcept {
  return offset <= total && size <= total - offset;
}

}  // namespace lading
