// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// What every store offers, whoever keeps the bytes.

#include <chrono>
#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <lading/codec/tensor/tensor.hpp>
#include <lading/core/bytes.hpp>
#include <lading/core/result.hpp>

namespace lading {

/// What a stored value is.
enum class value_kind : std::uint8_t {
  bytes,   ///< as they were given
  tensor,  ///< a tensor's items; dtype and shape are kept beside them
  packed,  ///< a packed buffer of any other type, with its schema
};

/// What to do where the key is taken.
enum class put_mode : std::uint8_t {
  insert,   ///< already_exists
  replace,  ///< the new value takes the place of the old one; readers see either
};

/// How a batch of puts is done.
struct put_options {
  put_mode mode = put_mode::insert;
  std::chrono::nanoseconds deadline{
      0};  ///< from the call on; 0 = the client's own; negative = it was over before the call, which is timed_out at once
};

/// How a batch of other calls is done.
struct store_call_options {
  std::chrono::nanoseconds deadline{0};  ///< as in put_options
};

/// What a store holds.
struct store_stats {
  std::uint64_t values = 0;
  std::uint64_t bytes = 0;     ///< of these values
  std::uint64_t capacity = 0;  ///< bytes; 0 where the store has no fixed one
  std::uint64_t free = 0;
  std::uint64_t evicted = 0;  ///< values so far
  std::uint64_t leased = 0;   ///< values that are being read
  std::uint64_t clients = 0;
};

/// Keyed values in batches. Every call returns one result for each key, in their order, and never fails as a whole; equal keys in one batch are as if
/// they had been given one after the other.
///
/// Errors: not_found, already_exists, no_space are answers; whatever else comes back is a failure of that key. A put that ends timed_out or peer_lost
///         may have been done.
template <class Candidate>
concept store = requires(Candidate& one, std::span<const std::string> keys, std::span<const tensor> values, std::span<const bytes_span> buffers) {
  { one.put_batch(keys, values) } -> std::same_as<std::vector<result<void>>>;
  { one.put_batch(keys, values, put_options{}) } -> std::same_as<std::vector<result<void>>>;
  { one.template get_batch<tensor>(keys) } -> std::same_as<std::vector<result<tensor>>>;
  { one.get_batch_into(keys, buffers) } -> std::same_as<std::vector<result<std::size_t>>>;
  { one.exists_batch(keys) } -> std::same_as<std::vector<result<bool>>>;
  { one.remove_batch(keys) } -> std::same_as<std::vector<result<void>>>;
  { one.stats() } -> std::same_as<result<store_stats>>;
};

}  // namespace lading
