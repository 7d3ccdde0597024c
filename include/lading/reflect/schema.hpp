// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace lading::detail {

/// The bytes that describe a type's wire structure, fed to FNV-1a (64 bit): the schema fingerprint. docs/FORMAT.md has the grammar.
///
/// Source: Fowler, Noll, Vo: http://www.isthe.com/chongo/tech/comp/fnv/ (offset basis and prime of the 64-bit variant).
class schema_hash {
 public:
  consteval void add(char token) noexcept { state_ = (state_ ^ static_cast<std::uint8_t>(token)) * 0x100000001b3ULL; }

  consteval void add_number(std::uint64_t number) noexcept {
    for (int byte = 0; byte < 8; ++byte) add(static_cast<char>(number >> (8 * byte) & 0xff));
  }

  /// Zero means "untyped" in a packed buffer, so no type has it.
  [[nodiscard]] consteval std::uint64_t value() const noexcept { return state_ == 0 ? 1 : state_; }

 private:
  std::uint64_t state_ = 0xcbf29ce484222325ULL;
};

}  // namespace lading::detail
