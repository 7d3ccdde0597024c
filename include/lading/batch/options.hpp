// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

#include <lading/codec/options.hpp>
#include <lading/core/bytes.hpp>
#include <lading/core/limits.hpp>

namespace lading {

class worker_pool;

/// Objects as packed buffers, in their order.
///
/// Lifetime: borrows the slots that the caller's allocator gave.
struct packed_batch {
  std::vector<bytes_span> buffers;  ///< the slots, as large as the allocator made them
  std::vector<std::size_t> sizes;   ///< how many bytes of each, from its start, are the packed buffer
};

/// How batches are encoded and decoded.
struct batch_options {
  std::size_t num_workers = 1;  ///< threads that share the work, the caller included; 0 = as many as there are processors. Bytes do not depend on it
  worker_pool* pool = nullptr;  ///< whose threads they are; null = worker_pool::shared(), which is not touched where one worker will do
  encode_options encode{};      ///< encoding: how each object becomes frames
  bool checksum = true;         ///< encoding: hash header, table and payloads; a layout without checksums ignores it
  bool verify_checksum = true;  ///< decoding: hash the payloads of buffers that carry checksums
  bool strict = true;           ///< decoding: accept only what encoding writes; a layout may know no other way
  decode_limits limits{};       ///< decoding: of each object
};

}  // namespace lading
