// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hiredis/hiredis.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <lading/core/result.hpp>
#include <lading/memory/aligned_buffer.hpp>
#include <lading/stores/redis/answer.hpp>

namespace lading::detail {

/// A string on its way, and the end of line behind it.
struct redis_incoming {
  aligned_buffer memory;
  std::array<char, 2> end{};
  std::size_t filled = 0;  // of both
  std::size_t copied = 0;  // out of a chunk

  [[nodiscard]] bool whole() const noexcept { return filled == memory.size() + end.size(); }
  [[nodiscard]] std::array<iovec, 2> rest() noexcept {
    const std::size_t inside = std::min(filled, memory.size()), behind = filled - inside;
    return {iovec{memory.data() + inside, memory.size() - inside}, iovec{end.data() + behind, end.size() - behind}};
  }
};

/// The answers in what a socket brings. hiredis parses them, but for strings, which are values: these are taken from the socket straight into aligned
/// memory, once their length is known. Only what comes together with that length is copied, a chunk at most.
///
/// Threads: one at a time.
class redis_replies {
 public:
  static constexpr std::size_t chunk = std::size_t{16} << 10;  // bytes that are read before it is known what they are
  static constexpr std::size_t turn = std::size_t{1} << 20;    // bytes that are moved one way before the other way is looked at

  explicit redis_replies(std::uint64_t largest) : incoming_(chunk) { answer_.largest = largest; }

  /// What the last answer was; valid once next() was true.
  [[nodiscard]] redis_answer& answer() noexcept { return answer_; }

  /// From here on a new connection's.
  void attach(redisContext& context) noexcept {
    reset();
    context_ = &context;
    context.reader->fn = &redis_parsing::functions();
    context.reader->privdata = &answer_;
  }
  void reset() noexcept {
    context_ = nullptr;
    begin_ = end_ = 0;
    value_.reset();
    parsing_ = false;
    answer_.clear();
  }
  /// Whether nothing has come that belongs to no answer yet.
  [[nodiscard]] bool at_rest() const noexcept { return begin_ == end_ && !value_ && !parsing_; }

  /// Takes what the socket has, up to a turn; returns the bytes. Call it when next() was false.
  ///
  /// Errors: peer_lost.
  [[nodiscard]] result<std::size_t> receive() {
    std::size_t sum = 0;
    while (sum < turn) {
      std::array<iovec, 2> places;
      if (value_) {
        places = value_->rest();
      } else {
        std::memmove(incoming_.data(), incoming_.data() + begin_, end_ - begin_);  // less than a length
        end_ -= std::exchange(begin_, 0);
        places = {iovec{incoming_.data() + end_, incoming_.size() - end_}, iovec{nullptr, 0}};
      }
      msghdr message{};
      message.msg_iov = places.data();
      message.msg_iovlen = places.size();
      const auto found = ::recvmsg(context_->fd, &message, MSG_DONTWAIT);
      if (found > 0) {
        sum += static_cast<std::size_t>(found);
        (value_ ? value_->filled : end_) += static_cast<std::size_t>(found);
        if (value_ && !value_->whole()) continue;
        return sum;
      }
      if (found < 0 && errno == EINTR) continue;
      if (sum != 0 || (found < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))) return sum;
      if (found == 0) return fail(errc::peer_lost, {.native = -REDIS_ERR_EOF, .what = "redis closed the connection"});
      return fail(errc::peer_lost, {.native = errno, .what = "the connection to redis broke"});
    }
    return sum;
  }

  /// Whether there is one more whole answer now.
  ///
  /// Errors: bad_header for what is no answer, limit_exceeded, no_memory. Then nothing that comes later can be told apart.
  [[nodiscard]] result<bool> next() {
    while (value_ || begin_ != end_) {
      if (value_) return take_value();
      if (!parsing_ && incoming_[begin_] == '$') {
        const result<opening> how = open_value();
        if (!how) return fail(how.error());
        if (*how == opening::unknown) return false;
        if (*how == opening::nil) return true;
        if (*how == opening::value) continue;
      }
      const result<bool> found = parse();
      if (!found || *found) return found;
    }
    return false;
  }

 private:
  enum class opening : std::uint8_t { unknown, nil, value, none };

  static constexpr std::size_t longest_length = 32;  // of "$", digits and the end of line, where the server is none of the hostile ones

  /// Whether a string begins here; its length is not kept for hiredis.
  [[nodiscard]] result<opening> open_value() {
    const std::string_view seen(incoming_.data() + begin_, end_ - begin_);
    const std::size_t line = seen.find("\r\n");
    if (line == std::string_view::npos) return seen.size() < longest_length ? opening::unknown : opening::none;
    std::int64_t size = 0;
    const auto [stopped, wrong] = std::from_chars(seen.data() + 1, seen.data() + line, size);
    if (wrong != std::errc{} || stopped != seen.data() + line || size < -1) return opening::none;  // hiredis says what is wrong
    begin_ += line + 2;
    if (size < 0) {
      answer_.what = redis_answer::form::nil;
      return opening::nil;
    }
    const auto bytes = static_cast<std::uint64_t>(size);
    if (bytes > answer_.largest + 2 * turn) {
      return fail(errc::limit_exceeded, {.needed = bytes, .available = answer_.largest, .what = "larger than redis_options::largest_value"});
    }
    auto memory = aligned_buffer::allocate(static_cast<std::size_t>(bytes));
    if (!memory) return fail(memory.error());
    value_.emplace().memory = std::move(*memory);
    for (const iovec& place : value_->rest()) {
      const std::size_t here = std::min(place.iov_len, end_ - begin_);
      if (here != 0) std::memcpy(place.iov_base, incoming_.data() + begin_, here);
      begin_ += here;
      value_->filled += here;
    }
    value_->copied = std::min(value_->filled, value_->memory.size());
    return opening::value;
  }

  [[nodiscard]] result<bool> take_value() {
    if (!value_ || !value_->whole()) return false;
    const std::string_view end(value_->end.data(), value_->end.size());
    const bool well_formed = end == "\r\n", kept = value_->memory.size() <= answer_.largest;
    answer_.what = redis_answer::form::string;
    answer_.copied = value_->copied;
    if (kept) {
      answer_.bytes = std::move(value_->memory);
    } else {
      answer_.refused = error(errc::limit_exceeded,
                              {.needed = value_->memory.size(), .available = answer_.largest, .what = "larger than redis_options::largest_value"});
    }
    value_.reset();
    if (!well_formed) return fail(errc::bad_header, {.what = "this is not redis' protocol: a string does not end where it should"});
    return true;
  }

  /// Gives hiredis what has come.
  [[nodiscard]] result<bool> parse() {
    redisReader& reader = *context_->reader;
    const std::string_view seen(incoming_.data() + begin_, end_ - begin_);
    std::size_t taken = seen.size();
    if (!parsing_ && std::string_view("+-:").find(seen.front()) != std::string_view::npos) {
      taken = std::min(seen.find('\n'), seen.size() - 1) + 1;  // an answer of one line
    }
    parsing_ = true;
    if (redisReaderFeed(&reader, seen.data(), taken) != REDIS_OK) return unparsed();
    begin_ += taken;
    void* whole = nullptr;
    if (redisReaderGetReply(&reader, &whole) != REDIS_OK) return unparsed();
    const std::size_t left = reader.len - reader.pos;
    if (whole == nullptr) {
      if (left <= answer_.largest + 2 * turn) return false;
      return fail(errc::limit_exceeded, {.needed = left, .available = answer_.largest, .what = "larger than redis_options::largest_value"});
    }
    parsing_ = false;
    // What is left is the end of what it has just been given: it is looked at here first.
    begin_ -= left;
    reader.pos = reader.len;
    if (answer_.what == redis_answer::form::none) return fail(errc::bad_header, {.what = "redis sent something that this store did not ask for"});
    return true;
  }

  [[nodiscard]] failure unparsed() const noexcept {
    const int code = context_->reader->err;
    if (code == REDIS_ERR_OOM) return fail(errc::no_memory, {.native = -code, .what = "hiredis has no memory for the answer"});
    return fail(errc::bad_header, {.native = -code, .what = "this is not redis' protocol: does something else listen there?"});
  }

  redisContext* context_ = nullptr;
  redis_answer answer_;
  std::vector<char> incoming_;
  std::size_t begin_ = 0, end_ = 0;  // of what is not looked at yet
  std::optional<redis_incoming> value_;
  bool parsing_ = false;  // hiredis has the beginning of an answer
};

}  // namespace lading::detail
