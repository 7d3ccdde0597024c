// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

#include <lading/codec/options.hpp>
#include <lading/core/bytes.hpp>
#include <lading/core/limits.hpp>
#include <lading/memory/worker_pool.hpp>

namespace lading {

/// Objects as packed buffers, in their order.
///
/// Lifetime: borrows the slots that the caller's allocator gave.
struct packed_batch {
  std::vector<bytes_span> buffers;  ///< the slots, as large as the allocator made them
  std::vector<std::size_t> sizes;   ///< the bytes of each that are the packed buffer, from its start
};

/// How batches are encoded and decoded.
struct batch_options {
  std::size_t num_workers = 1;   ///< threads to share the work, the caller included: 1 = the caller alone, 0 = as many as there are processors
  worker_pool* pool = nullptr;   ///< whose threads they are; null = worker_pool::shared()
  encode_options encode{};       ///< how each object becomes frames
  bool checksum = true;          ///< encoding: hash header, table and payloads where the layout has a place for checksums
  bool verify_checksum = true;   ///< decoding: hash the payloads of buffers that carry checksums
  bool strict = true;            ///< decoding: accept only what encoding writes; a layout may know no other way
  decode_limits limits{};        ///< decoding: of each object
};

}  // namespace lading
