// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// lading::errc as std::error_code, in a header of its own because <system_error> is not needed otherwise.

#include <string>
#include <system_error>

#include <lading/core/error.hpp>

namespace lading {

/// The category of lading::errc; its name is "lading".
[[nodiscard]] inline const std::error_category& error_category() noexcept {
  static const struct : std::error_category {
    const char* name() const noexcept override { return "lading"; }
    std::string message(int condition) const override { return std::string{name_of(static_cast<errc>(condition))}; }
    std::error_condition default_error_condition(int condition) const noexcept override {
      switch (static_cast<errc>(condition)) {
        case errc::buffer_too_small: return std::errc::no_buffer_space;
        case errc::size_overflow: return std::errc::value_too_large;
        case errc::no_memory: return std::errc::not_enough_memory;
        case errc::invalid_argument: return std::errc::invalid_argument;
        case errc::timed_out: return std::errc::timed_out;
        case errc::cancelled: return std::errc::operation_canceled;
        case errc::would_block: return std::errc::operation_would_block;
        case errc::busy: return std::errc::device_or_resource_busy;
        case errc::unsupported: return std::errc::not_supported;
        case errc::peer_lost: return std::errc::connection_reset;
        case errc::out_of_range: return std::errc::result_out_of_range;
        case errc::no_space: return std::errc::no_space_on_device;
        case errc::already_exists: return std::errc::file_exists;
        default: return {condition, *this};
      }
    }
  } category;
  return category;
}

[[nodiscard]] inline std::error_code make_error_code(errc code) noexcept { return {static_cast<int>(code), error_category()}; }

/// The code of an error as a std::error_code.
[[nodiscard]] inline std::error_code make_error_code(const error& failed) noexcept { return make_error_code(failed.code()); }

}  // namespace lading

template <>
struct std::is_error_code_enum<lading::errc> : std::true_type {};
