// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include <lading/core/result.hpp>

namespace support {

/// What ends the program: one line for whoever started it.
class problem : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The value of a result, or a problem: what was being done, and what the library says.
template <class T>
T expect(lading::result<T> outcome, const char* doing) {
  if (!outcome) throw problem(std::string(doing) + ": " + outcome.error().message());
  if constexpr (!std::is_void_v<T>) return std::move(*outcome);
}

/// The same, of object `index`.
template <class T>
T expect(lading::result<T> outcome, const char* doing, std::size_t index) {
  if (!outcome) throw problem(std::string(doing) + ' ' + std::to_string(index) + ": " + outcome.error().message());
  if constexpr (!std::is_void_v<T>) return std::move(*outcome);
}

}  // namespace support
