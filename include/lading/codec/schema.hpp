// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <lading/codec/types.hpp>
#include <lading/reflect/schema.hpp>

namespace lading {

/// A 64-bit fingerprint of T's structure on the wire; never 0.
///
/// A struct and its borrowing twin (std::string_view for std::string, std::span for std::vector) share it; names are not part of it. Two types
/// with different structures can collide with a probability of about 2^-64: decoding stays memory-safe if they do.
/// Source: docs/FORMAT.md has the grammar that is hashed.
template <class T>
consteval std::uint64_t schema_of() {
  detail::schema_hash hash;
  detail::describe<>::type<T>(hash);
  return hash.value();
}

}  // namespace lading
