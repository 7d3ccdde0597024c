// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include <lading/exchange/slab.hpp>
#include <lading/exchange/submitter.hpp>

namespace lading {

/// What a full store does.
enum class eviction : std::uint8_t {
  none,  ///< refuses with no_space
  lru,   ///< drops the values that were found or put least recently; never one that is being read
};

/// How a store server works.
struct store_server_options {
  slab_options memory{};              ///< for the values
  eviction evict = eviction::none;    ///< when it is full
  std::uint64_t max_index = 0;        ///< bytes for what is kept beside each value, empty ones included: its key and about 256; 0 = memory.capacity
  std::size_t max_clients = 64;       ///< at a time; one that has been silent for lease_time makes room for a new one
  std::size_t slots_per_client = 16;  ///< requests that a client may have under way; at most 256
  std::size_t max_slot = 256 << 10;   ///< bytes of one request or answer; at most 16 MiB
  std::size_t max_key = 1024;         ///< bytes
  std::size_t max_imports = 1024;     ///< regions of one client that are kept imported
  std::size_t max_leases = 65'536;    ///< batches that may be read at a time
  std::chrono::nanoseconds lease_time =
      std::chrono::seconds(10);  ///< for which a value that was found stays where it is, besides 20 ns for each byte
  std::chrono::nanoseconds transfer_time =
      std::chrono::seconds(5);  ///< after which, besides 20 ns for each byte, a put whose bytes do not arrive is given up
  std::chrono::nanoseconds connect_time = std::chrono::milliseconds(500);  ///< for reaching a client that says hello
  std::size_t serial_workers = 0;  ///< threads that share the verification of one request; 0 = as many as there are processors, up to 4
  worker_pool* pool = nullptr;     ///< whose threads these are; null = worker_pool::shared()
  submitter_options moving{};
};

}  // namespace lading
