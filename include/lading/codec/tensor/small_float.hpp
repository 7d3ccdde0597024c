// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>

namespace lading {
namespace detail {

/// How a format of at most 16 bits uses its highest codes.
enum class small_float_kind : std::uint8_t {
  ieee,           ///< infinities and NaNs in the top exponent
  finite,         ///< "fn": no infinity; NaN is all ones after the sign
  unsigned_zero,  ///< "fnuz": no infinity, no -0; NaN is the code that -0 would have
};

/// Conversions between float and a binary format of 1 sign bit, `ExponentBits` and `MantissaBits`.
///
/// narrow rounds to nearest, ties to even. What is too large becomes the infinity, or NaN in a format that has none. NaNs keep their
/// sign and the top of their payload where the format can hold them, and become quiet.
template <class Bits, int ExponentBits, int MantissaBits, int Bias, small_float_kind Kind>
struct small_float {
  static constexpr std::uint32_t mantissa_mask = (1U << MantissaBits) - 1;
  static constexpr std::uint32_t exponent_mask = (1U << ExponentBits) - 1;
  static constexpr std::uint32_t sign_bit = 1U << (ExponentBits + MantissaBits);
  static constexpr std::uint32_t infinity = exponent_mask << MantissaBits;  // of the formats that have one
  static constexpr std::uint32_t nan = Kind == small_float_kind::ieee ? infinity | (1U << (MantissaBits - 1)) : sign_bit - 1;
  static constexpr std::uint32_t largest = Kind == small_float_kind::ieee ? infinity - 1 : Kind == small_float_kind::finite ? nan - 1 : sign_bit - 1;

  [[nodiscard]] static constexpr float widen(Bits bits) noexcept {
    const std::uint32_t sign = (bits & sign_bit) != 0 ? 0x8000'0000U : 0U;
    const std::uint32_t exponent = (std::uint32_t{bits} >> MantissaBits) & exponent_mask;
    const std::uint32_t mantissa = bits & mantissa_mask;
    std::uint32_t wide = 0;
    if (Kind == small_float_kind::unsigned_zero && bits == sign_bit) {
      wide = 0x7FC0'0000U;
    } else if (Kind == small_float_kind::finite && (bits & (sign_bit - 1)) == nan) {
      wide = 0x7FC0'0000U;
    } else if (Kind == small_float_kind::ieee && exponent == exponent_mask) {
      wide = 0x7F80'0000U | mantissa << (23 - MantissaBits);
    } else if (exponent != 0) {
      wide = static_cast<std::uint32_t>(static_cast<int>(exponent) - Bias + 127) << 23 | mantissa << (23 - MantissaBits);
    } else if (mantissa != 0) {
      const int top = static_cast<int>(std::bit_width(mantissa)) - 1;  // a float has exponents to spare: every subnormal becomes normal
      wide = static_cast<std::uint32_t>(top + 1 - Bias - MantissaBits + 127) << 23 | ((mantissa << (23 - top)) & 0x007F'FFFFU);
    }
    return std::bit_cast<float>(sign | wide);
  }

  [[nodiscard]] static constexpr Bits narrow(float value) noexcept {
    const auto wide = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t sign = wide >> 31 != 0 ? sign_bit : 0U;
    const std::uint32_t magnitude = wide & 0x7FFF'FFFFU;
    if (magnitude > 0x7F80'0000U) {
      if constexpr (Kind == small_float_kind::unsigned_zero) return static_cast<Bits>(sign_bit);
      if constexpr (Kind == small_float_kind::ieee) return static_cast<Bits>(sign | nan | ((magnitude >> (23 - MantissaBits)) & mantissa_mask));
      return static_cast<Bits>(sign | nan);
    }
    std::uint32_t code = round(magnitude);
    if (code > largest) {
      if constexpr (Kind == small_float_kind::unsigned_zero) return static_cast<Bits>(sign_bit);
      code = Kind == small_float_kind::ieee ? infinity : nan;
    }
    if (Kind == small_float_kind::unsigned_zero && code == 0) return 0;
    return static_cast<Bits>(sign | code);
  }

 private:
  /// The code nearest to a finite or infinite magnitude, as though the exponent had no upper end: codes are in the order of their values.
  static constexpr std::uint32_t round(std::uint32_t magnitude) noexcept {
    const int exponent = static_cast<int>(magnitude >> 23) - 127;
    constexpr int smallest_normal = 1 - Bias;
    static_assert(smallest_normal > -126, "a float's own subnormals must all round to zero");
    if (exponent < smallest_normal - MantissaBits - 1) return 0;
    const std::uint32_t significand = (magnitude & 0x007F'FFFFU) | 0x0080'0000U;
    const int lost = 23 - MantissaBits + (exponent < smallest_normal ? smallest_normal - exponent : 0);  // at most 24
    const std::uint32_t half = 1U << (lost - 1);
    const std::uint32_t odd = (significand >> lost) & 1U;
    const std::uint32_t rounded = (significand + half - 1 + odd) >> lost;
    if (exponent < smallest_normal) return rounded;  // a carry makes the smallest normal number, whose code follows
    return (static_cast<std::uint32_t>(exponent + Bias - 1) << MantissaBits) +
           rounded;  // `rounded` holds the leading one: the missing 1 of the exponent
  }
};

}  // namespace detail

/// IEEE 754 binary16 (torch.float16), stored as its bits. Equality is that of the bits.
struct float16 {
  std::uint16_t bits;

  /// The nearest float16, ties to even; what is too large becomes an infinity.
  [[nodiscard]] static constexpr float16 from(float value) noexcept { return {format::narrow(value)}; }
  [[nodiscard]] explicit constexpr operator float() const noexcept { return format::widen(bits); }
  friend constexpr bool operator==(float16, float16) noexcept = default;

 private:
  using format = detail::small_float<std::uint16_t, 5, 10, 15, detail::small_float_kind::ieee>;
};

/// The upper half of a float (torch.bfloat16), stored as its bits. Equality is that of the bits.
struct bfloat16 {
  std::uint16_t bits;

  /// The nearest bfloat16, ties to even; what is too large becomes an infinity.
  [[nodiscard]] static constexpr bfloat16 from(float value) noexcept {
    const auto wide = std::bit_cast<std::uint32_t>(value);
    if ((wide & 0x7FFF'FFFFU) > 0x7F80'0000U) return {static_cast<std::uint16_t>(wide >> 16 | 0x0040U)};
    return {static_cast<std::uint16_t>((wide + 0x7FFFU + ((wide >> 16) & 1U)) >> 16)};
  }
  [[nodiscard]] explicit constexpr operator float() const noexcept { return std::bit_cast<float>(std::uint32_t{bits} << 16); }
  friend constexpr bool operator==(bfloat16, bfloat16) noexcept = default;
};

/// 4 exponent and 3 mantissa bits, to 448, no infinity (torch.float8_e4m3fn), stored as its bits. Equality is that of the bits.
///
/// Source: OCP 8-bit Floating Point Specification (OFP8) 1.0.
struct float8_e4m3fn {
  std::uint8_t bits;

  /// The nearest float8_e4m3fn, ties to even; what is too large becomes NaN.
  [[nodiscard]] static constexpr float8_e4m3fn from(float value) noexcept { return {format::narrow(value)}; }
  [[nodiscard]] explicit constexpr operator float() const noexcept { return format::widen(bits); }
  friend constexpr bool operator==(float8_e4m3fn, float8_e4m3fn) noexcept = default;

 private:
  using format = detail::small_float<std::uint8_t, 4, 3, 7, detail::small_float_kind::finite>;
};

/// 5 exponent and 2 mantissa bits, to 57344 and infinity (torch.float8_e5m2), stored as its bits. Equality is that of the bits.
///
/// Source: OCP 8-bit Floating Point Specification (OFP8) 1.0.
struct float8_e5m2 {
  std::uint8_t bits;

  /// The nearest float8_e5m2, ties to even; what is too large becomes an infinity.
  [[nodiscard]] static constexpr float8_e5m2 from(float value) noexcept { return {format::narrow(value)}; }
  [[nodiscard]] explicit constexpr operator float() const noexcept { return format::widen(bits); }
  friend constexpr bool operator==(float8_e5m2, float8_e5m2) noexcept = default;

 private:
  using format = detail::small_float<std::uint8_t, 5, 2, 15, detail::small_float_kind::ieee>;
};

/// 4 exponent and 3 mantissa bits, to 240, no infinity, no -0 (torch.float8_e4m3fnuz), stored as its bits. Equality is that of the bits.
struct float8_e4m3fnuz {
  std::uint8_t bits;

  /// The nearest float8_e4m3fnuz, ties to even; what is too large becomes NaN.
  [[nodiscard]] static constexpr float8_e4m3fnuz from(float value) noexcept { return {format::narrow(value)}; }
  [[nodiscard]] explicit constexpr operator float() const noexcept { return format::widen(bits); }
  friend constexpr bool operator==(float8_e4m3fnuz, float8_e4m3fnuz) noexcept = default;

 private:
  using format = detail::small_float<std::uint8_t, 4, 3, 8, detail::small_float_kind::unsigned_zero>;
};

/// 5 exponent and 2 mantissa bits, to 57344, no infinity, no -0 (torch.float8_e5m2fnuz), stored as its bits. Equality is that of the bits.
struct float8_e5m2fnuz {
  std::uint8_t bits;

  /// The nearest float8_e5m2fnuz, ties to even; what is too large becomes NaN.
  [[nodiscard]] static constexpr float8_e5m2fnuz from(float value) noexcept { return {format::narrow(value)}; }
  [[nodiscard]] explicit constexpr operator float() const noexcept { return format::widen(bits); }
  friend constexpr bool operator==(float8_e5m2fnuz, float8_e5m2fnuz) noexcept = default;

 private:
  using format = detail::small_float<std::uint8_t, 5, 2, 16, detail::small_float_kind::unsigned_zero>;
};

/// A power of two from 2^-127 to 2^127, or NaN: the scale of a block (torch.float8_e8m0fnu), stored as its bits.
///
/// Source: OCP Microscaling Formats (MX) Specification 1.0, 5.4.1.
struct float8_e8m0fnu {
  std::uint8_t bits;

  /// The nearest power of two, ties upwards; zero becomes the smallest; negative and infinite values become NaN.
  [[nodiscard]] static constexpr float8_e8m0fnu from(float value) noexcept {
    const auto wide = std::bit_cast<std::uint32_t>(value);
    if (wide == 0x8000'0000U) return {0};
    if (wide >= 0x7F80'0000U) return {0xFF};
    // Below 2^-126 a float has no leading one: half-way between 2^-127 and 2^-126 is 0x0060'0000.
    if (wide < 0x0080'0000U) return {static_cast<std::uint8_t>(wide >= 0x0060'0000U ? 1 : 0)};
    return {static_cast<std::uint8_t>((wide + 0x0040'0000U) >> 23)};
  }
  [[nodiscard]] explicit constexpr operator float() const noexcept {
    if (bits == 0xFF) return std::bit_cast<float>(0x7FC0'0000U);
    return std::bit_cast<float>(bits == 0 ? 0x0040'0000U : std::uint32_t{bits} << 23);
  }
  friend constexpr bool operator==(float8_e8m0fnu, float8_e8m0fnu) noexcept = default;
};

/// Two 4-bit numbers in a byte, the first in the lower half (torch.float4_e2m1fn_x2). Shapes count the bytes, as torch's do.
struct float4_e2m1fn_x2 {
  std::uint8_t bits;
  friend constexpr bool operator==(float4_e2m1fn_x2, float4_e2m1fn_x2) noexcept = default;
};

/// A complex number of two halves (torch.complex32). Equality is that of the bits.
struct complex32 {
  float16 real;
  float16 imag;
  friend constexpr bool operator==(complex32, complex32) noexcept = default;
};

}  // namespace lading
