// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hiredis/hiredis.h>

#include <cstdint>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lading/core/config.hpp>
#include <lading/core/result.hpp>
#include <lading/memory/aligned_buffer.hpp>

namespace lading::detail {

/// What the server said to one command.
struct redis_answer {
  enum class form : std::uint8_t { none, status, failure, number, nil, string, list };

  static constexpr std::size_t most_words = std::size_t{1} << 16;  // of a list; a server sends about as many as it was asked for

  form what = form::none;
  long long number = 0;
  aligned_buffer bytes;            // of a string
  std::size_t copied = 0;          // bytes of it that did not come straight from the socket
  std::string text;                // of a status or failure, its beginning
  std::vector<std::string> words;  // strings in a list, in order
  std::uint64_t top = 0;           // elements that the outer list announced
  std::uint64_t inner = 0;         // elements that lists in it announced
  std::uint64_t inner_lists = 0;
  std::optional<error> refused;  // why what arrived was not kept
  std::uint64_t largest = 0;     // bytes of a string that is kept

  /// Copies that its bytes have seen here: one, or none where little of them came with their length.
  [[nodiscard]] std::uint64_t copies() const noexcept { return copied > bytes.size() / 8 ? 1 : 0; }

  void clear() noexcept {
    const std::uint64_t kept = largest;
    *this = redis_answer{};
    largest = kept;
  }
};

/// The error that a failure of the server stands for.
[[nodiscard]] inline error redis_error(std::string_view said) noexcept {
  const auto begins = [&](std::string_view word) { return said.substr(0, word.size()) == word; };
  if (begins("OOM")) return error(errc::no_space, {.what = "redis is full: raise maxmemory, remove values, or let it evict"});
  if (begins("WRONGTYPE")) return error(errc::schema_mismatch, {.what = "what redis has under this key is no string, so no value of this store"});
  for (const std::string_view word : {"LOADING", "BUSY ", "TRYAGAIN", "MASTERDOWN", "CLUSTERDOWN", "ERR max number of clients"}) {
    if (begins(word)) return error(errc::busy, {.what = "redis is not ready: it loads, waits, or has too many clients"});
  }
  for (const std::string_view word : {"NOAUTH", "WRONGPASS", "NOPERM", "ERR AUTH", "ERR invalid password", "ERR Client sent AUTH"}) {
    if (begins(word)) return error(errc::invalid_argument, {.what = "redis refuses these credentials: see redis_options::user and password"});
  }
  for (const std::string_view word : {"READONLY", "MOVED", "ASK ", "CROSSSLOT", "ERR unknown command", "DENIED"}) {
    if (begins(word)) return error(errc::unsupported, {.what = "this redis does not take the command: connect to a primary that is no cluster"});
  }
  if (begins("ERR DB index") || begins("ERR invalid DB index"))
    return error(errc::invalid_argument, {.what = "redis has no database of this number"});
  if (begins("ERR Protocol error: invalid bulk length") || begins("ERR string exceeds maximum allowed size")) {
    return error(errc::size_overflow, {.what = "redis takes no value of this size: see its proto-max-bulk-len"});
  }
  return error(errc::backend_failure, {.what = "redis answered with an error"});
}

/// What hiredis calls for each thing it has parsed: all but strings that are no part of a list. The functions are called by C code, so nothing is thrown
/// out of them.
struct redis_parsing {
  static redisReplyObjectFunctions& functions() noexcept {
    static redisReplyObjectFunctions all = [] {
      redisReplyObjectFunctions made{};
      made.createString = &string;
      made.createArray = &list;
      made.createInteger = &number;
      made.createNil = &nil;
      made.freeObject = &forget;
      return made;
    }();
    return all;
  }

 private:
  static redis_answer& answer_of(const redisReadTask* task) noexcept { return *static_cast<redis_answer*>(task->privdata); }

  static void* string(const redisReadTask* task, char* from, std::size_t size) noexcept {
    redis_answer& answer = answer_of(task);
    LADING_TRY { keep(answer, *task, std::string_view(from, size)); }
    LADING_CATCH_BAD_ALLOC(answer.refused = error(errc::no_memory, {.needed = size, .what = "what redis sent could not be kept"}))
    return &answer;  // hiredis asks for something that is not null, and never looks at it
  }
  static void keep(redis_answer& answer, const redisReadTask& task, std::string_view from) {
    if (task.parent != nullptr) {
      if (task.type != REDIS_REPLY_STRING) return;  // then the list has fewer words than it announced
      if (answer.words.size() == redis_answer::most_words) {
        answer.refused =
            error(errc::limit_exceeded, {.available = redis_answer::most_words, .what = "redis sent a longer list than it was asked for"});
      } else {
        answer.words.emplace_back(from);
      }
      return;
    }
    if (task.type != REDIS_REPLY_STRING) {
      answer.what = task.type == REDIS_REPLY_ERROR ? redis_answer::form::failure : redis_answer::form::status;
      answer.text = from.substr(0, 200);
      return;
    }
    answer.what = redis_answer::form::none;  // never given to it
  }

  template <class Count>  // int, or size_t since hiredis 1.0
  static void* list(const redisReadTask* task, Count count) {
    redis_answer& answer = answer_of(task);
    if (task->parent == nullptr) {
      answer.what = redis_answer::form::list;
      answer.top = static_cast<std::uint64_t>(count);
    } else {
      ++answer.inner_lists;
      answer.inner = static_cast<std::uint64_t>(count);
    }
    return &answer;
  }
  static void* number(const redisReadTask* task, long long value) noexcept {
    redis_answer& answer = answer_of(task);
    if (task->parent == nullptr) {
      answer.what = redis_answer::form::number;
      answer.number = value;
    }
    return &answer;
  }
  static void* nil(const redisReadTask* task) noexcept {
    redis_answer& answer = answer_of(task);
    if (task->parent == nullptr) answer.what = redis_answer::form::nil;
    return &answer;
  }
  static void forget(void*) noexcept {}
};

/// What a well-formed answer that does not belong to its command is; or why the server refused.
[[nodiscard]] inline error unexpected_answer(const redis_answer& answer) noexcept {
  if (answer.refused) return *answer.refused;
  if (answer.what == redis_answer::form::failure) return redis_error(answer.text);
  return error(errc::bad_header, {.what = "redis gave an answer that this command does not have"});
}

}  // namespace lading::detail
