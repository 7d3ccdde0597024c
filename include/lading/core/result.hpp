// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>
#include <version>

#include <lading/core/error.hpp>

// std::expected where the standard library has it, else tl::expected, which has the same interface. The choice follows the
// language mode, so all translation units of one program should use the same one.
#if defined(__cpp_lib_expected) && __cpp_lib_expected >= 202202L
#include <expected>
#elif __has_include(<tl/expected.hpp>)
#include <tl/expected.hpp>
#else
#error "lading needs an expected type: compile as C++23, or install tl::expected (Debian: libexpected-dev, Conan: tl-expected)"
#endif

namespace lading {

#if defined(__cpp_lib_expected) && __cpp_lib_expected >= 202202L
/// A value, or the error that says why there is none.
template <class T>
using result = std::expected<T, error>;

/// What converts to the failed state of any result<T>.
using failure = std::unexpected<error>;

namespace detail {
using std::in_place;
}
#else
/// A value, or the error that says why there is none.
template <class T>
using result = tl::expected<T, error>;

/// What converts to the failed state of any result<T>.
using failure = tl::unexpected<error>;

namespace detail {
using tl::in_place;
}
#endif

/// The failed state of any result<T>: `return fail(errc::invalid_value);`
[[nodiscard]] constexpr failure fail(errc code, const error_details& details = {}) noexcept { return failure(error(code, details)); }

/// Passes an error on to a result of another type: `if (!part) return fail(part.error());`
[[nodiscard]] constexpr failure fail(const error& cause) noexcept { return failure(cause); }

}  // namespace lading
