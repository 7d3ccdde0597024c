// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace lading {

/// Where a redis is, and how it is used.
struct redis_options {
  std::string host = "127.0.0.1";
  std::uint16_t port = 6379;
  std::string unix_socket{};  ///< path; used in place of host and port where it is not empty
  std::string user{};         ///< of redis 6 and later; empty = the default one
  std::string password{};     ///< empty = none
  unsigned database = 0;
  std::string prefix{};  ///< put before every key; values under other keys are not seen, and not counted

  std::chrono::nanoseconds deadline = std::chrono::seconds(30);             ///< of a call that names none
  std::chrono::nanoseconds connect_timeout = std::chrono::seconds(2);       ///< for reaching the server once
  std::chrono::nanoseconds command_timeout = std::chrono::seconds(5);       ///< without a byte to or from a server that owes an answer
  std::size_t reconnects = 3;                                               ///< in a row that may fail before the server is given up as lost
  std::chrono::nanoseconds first_pause = std::chrono::milliseconds(1);      ///< before trying again; doubled each time, with jitter
  std::chrono::nanoseconds longest_pause = std::chrono::milliseconds(100);  ///< at most

  std::size_t window = 256;                                ///< commands under way at a time
  std::uint64_t window_bytes = std::uint64_t{16} << 20;    ///< of values under way, besides the one that reaches this
  std::uint64_t largest_value = std::uint64_t{512} << 20;  ///< bytes of one with its table; redis has a limit of its own, 512 MiB unless configured
};

}  // namespace lading
