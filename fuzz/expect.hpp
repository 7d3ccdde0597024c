// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <cstdlib>
#include <source_location>

#include <lading/core/error.hpp>

namespace fuzz {

/// Ends the run where something does not hold, in every kind of build.
inline void expect(bool holds, std::source_location where = std::source_location::current()) {
  if (holds) return;
  std::fprintf(stderr, "%s:%u: does not hold\n", where.file_name(), static_cast<unsigned>(where.line()));
  std::abort();
}

/// Whether an error is one that bad bytes, and nothing else, lead to.
inline bool is_input_error(const lading::error& cause) {
  switch (cause.code()) {
    case lading::errc::truncated:
    case lading::errc::trailing_bytes:
    case lading::errc::invalid_value:
    case lading::errc::not_canonical:
    case lading::errc::limit_exceeded:
    case lading::errc::misaligned:
    case lading::errc::size_overflow: return true;
    default: return false;
  }
}

}  // namespace fuzz
