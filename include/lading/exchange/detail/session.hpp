// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include <lading/core/bytes.hpp>
#include <lading/transport/region.hpp>
#include <lading/transport/transfer.hpp>

namespace lading::detail {

/// The way of one request slot: each request is done once, however often it is sent; its answer is kept until the next one.
struct request_slot {
  std::uint64_t last = 0;       // sequence of the request that is being done, or was
  bool working = false;         // its answer is not known yet
  bool wants_answer = false;    // the answer is to be sent
  bool deferred = false;        // a request waits until the slot is free
  std::size_t answer_size = 0;  // in the outgoing region; 0 = there is none
  transfer sending;             // of the answer
};

/// A client as the server sees it. It outlives connections: a request that is sent again over a new one is known.
template <class Dial>
struct session {
  std::uint64_t client = 0;    // its random number
  std::uint64_t endpoint = 0;  // from which it said hello
  peer_id peer{};
  bool connected = false;
  bool proven = false;            // was reached where it said that it is
  std::shared_ptr<Dial> dialing;  // while it is being connected to
  std::uint64_t hello = 0;        // sequence of the hello that is to be answered then; 0 = none is
  bool gone = false;              // has said goodbye, or was forgotten
  remote_region_id answers{};
  std::vector<std::byte> address, answers_descriptor;
  region requests, outgoing;  // of a proven one
  std::uint32_t slot_size = 0;
  std::vector<request_slot> slots;                            // the last one is that of the welcome
  std::unordered_map<std::string, remote_region_id> imports;  // by descriptor
  std::size_t jobs = 0;                                       // that use its memory
  std::chrono::steady_clock::time_point seen{}, tried{};      // a request; connecting to it

  [[nodiscard]] bytes_span request_at(std::size_t slot) const noexcept { return requests.bytes().subspan(slot * slot_size, slot_size); }
  [[nodiscard]] bytes_span outgoing_at(std::size_t slot) const noexcept { return outgoing.bytes().subspan(slot * slot_size, slot_size); }
};

}  // namespace lading::detail
