// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// Names without definitions, for headers that only mention lading's types.

#include <cstdint>

namespace lading {

class error;
struct error_details;
enum class errc : std::uint16_t;
struct decode_limits;
struct encode_options;

template <class T>
struct codec;

class frames;
class unpacked;
class gather_plan;
struct pack_options;
struct unpack_options;
struct packed_batch;
struct batch_options;
class worker_pool;
class aligned_buffer;

enum class dtype : std::uint8_t;
class tensor_view;
class tensor;
class jagged_view;
class jagged;

namespace layout {
struct aligned;
struct transfer_queue;
}  // namespace layout

}  // namespace lading
