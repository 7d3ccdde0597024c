// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// A store in a redis: a second model of the concept `store`, on an engine that others keep.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include <lading/core/config.hpp>
#include <lading/exchange/client.hpp>
#include <lading/exchange/detail/batch_results.hpp>
#include <lading/exchange/store.hpp>
#include <lading/stores/redis/calls.hpp>
#include <lading/stores/redis/options.hpp>
#include <lading/stores/redis/turns.hpp>
#include <lading/stores/redis/value.hpp>
#include <lading/transport/time_source.hpp>

namespace lading {

/// Keyed values in a redis 6 or later, over RESP2: each is a string that holds a packed buffer of layout::aligned, with checksums and schema.
///
/// Batches are pipelined, `window` commands and about `window_bytes` of values at a time. A value is sent from where it lies: but for tensors that are not
/// contiguous and what belongs into a head, nothing of it is copied. A value that arrives is read from the socket
/// into aligned memory, but for what comes together with its length, 16 KiB at most: that is copied, and so is a smaller value. Its checksums are verified
/// there; a view borrows from that memory, and what owns is decoded from it by one copy. Codes that may pass (peer_lost, timed_out, busy, ...) are tried again, for the keys that failed, until the deadline, as a store_client does;
/// but a put and a removal that the server may have done end as peer_lost or timed_out: done once more, they could undo what others have put since.
///
/// Errors: not_found, already_exists, no_space (redis' OOM) are answers. peer_lost and timed_out have an errno as native(), or a negative code of
///         hiredis. A value that something else has put is schema_mismatch where it is no string, bad_magic, truncated, bad_header or checksum_mismatch
///         where it is one. Checksums catch accidents, not forgery: whoever may write to the redis can put any value.
/// Lifetime: values are read, and buffers written, only until the call returns.
/// Threads: any; calls take turns, because there is one connection, and waiting for one's turn is part of the deadline. Have a store for each thread that
///          should not wait.
template <exchange_observer Observer = no_observer>
class basic_redis_store {
 public:
  using meter_type = exchange_meter<Observer>;

  /// Connects, names itself, and chooses the database.
  ///
  /// Errors: invalid_argument for options that make no sense and for credentials that the server refuses; peer_lost, timed_out.
  [[nodiscard]] static result<std::unique_ptr<basic_redis_store>> connect(const redis_options& options = {}, Observer observer = {}) {
    if (options.deadline.count() <= 0 || options.connect_timeout.count() <= 0 || options.command_timeout.count() <= 0 ||
        options.first_pause.count() <= 0 || options.longest_pause < options.first_pause || options.window == 0 || options.window_bytes == 0 ||
        options.largest_value == 0 || options.largest_value > longest_string || options.prefix.size() > longest_key ||
        options.unix_socket.size() >= longest_path || options.host.find('\0') != std::string::npos ||
        options.unix_socket.find('\0') != std::string::npos) {
      return fail(errc::invalid_argument, {.what = "an option of the store is zero, or above its limit"});
    }
    auto made = std::unique_ptr<basic_redis_store>(new basic_redis_store(options, std::move(observer)));
    if (auto connected = made->line_.ensure(made->until_of({})); !connected) return fail(connected.error());
    return made;
  }
  basic_redis_store(const basic_redis_store&) = delete;
  basic_redis_store& operator=(const basic_redis_store&) = delete;
  ~basic_redis_store() = default;

  /// Puts values under keys. `values` are all of one type: bytes (bytes_view, bytes_span, std::vector<std::byte>), tensor, tensor_view, or anything
  /// encodable.
  ///
  /// Errors: by key: already_exists, no_space, invalid_argument (keys and values not equally many; a key too long), size_overflow for a value above
  ///         largest_value, of which nothing is sent, those of encoding, peer_lost, timed_out.
  template <class Keys, class Values>
  [[nodiscard]] std::vector<result<void>> put_batch(const Keys& keys, const Values& values, const put_options& options = {}) {
    using value_type = typename detail::values_in<Values>::type;
    auto results = detail::undone<void>(std::size(keys));
    if (std::size(keys) != std::size(values)) {
      std::fill(results.begin(), results.end(), result<void>(fail(errc::invalid_argument, {.what = "one value for each key"})));
      return detail::counted(meter_, std::move(results));
    }
    const bool replace = options.mode == put_mode::replace;
    const auto prepare = [&](const detail::redis_item& item) -> result<detail::redis_command> {
      stage_timer timer(meter_, stage::encode);
      auto stored = detail::to_stored<value_type>(std::begin(values)[static_cast<std::ptrdiff_t>(item.index)], options_.largest_value);
      if (!stored) return fail(stored.error());
      timer.add_bytes(stored->plan.size());
      return detail::redis_command::set(options_.prefix, item.key, std::move(*stored), replace);
    };
    const auto take = [&](const detail::redis_item& item, detail::redis_answer& answer) -> result<void> {
      if (answer.what == detail::redis_answer::form::nil && !replace)
        return fail(errc::already_exists, {.item = item.index, .what = "the key is taken"});
      if (answer.what != detail::redis_answer::form::status || answer.text != "OK") return fail(detail::unexpected_answer(answer));
      results[item.index] = result<void>{};
      const payload_path way = path_of(std::begin(values)[static_cast<std::ptrdiff_t>(item.index)]);
      meter_.took_path(way, way == payload_path::put_in_place ? 0 : 1);
      return {};
    };
    in_turn(options.deadline, results, [&](clock::time_point until) {
      for (auto& wave : detail::waves_of<detail::redis_item>(keys)) calls_.carry(std::move(wave), until, false, prepare, take, fails(results));
    });
    return detail::counted(meter_, std::move(results));
  }

  /// The values under keys, as Ts that own what they hold.
  ///
  /// Errors: by key: not_found, schema_mismatch for a value of another type, those of unpacking and decoding, limit_exceeded for a value above
  ///         largest_value, peer_lost, timed_out.
  template <class T, class Keys>
  [[nodiscard]] std::vector<result<T>> get_batch(const Keys& keys, const store_call_options& options = {}) {
    static_assert(!detail::borrows_when_stored<T>(),
                  "lading: a T with views would borrow memory that nobody holds: use view_batch<T>, or a T that owns");
    auto results = detail::undone<T>(std::size(keys));
    fetch(keys, options, results, [&](std::size_t index, detail::redis_answer& answer, const unpacked& items) -> result<void> {
      auto made = detail::from_stored<T>(items);
      if (!made) return fail(made.error());
      results[index] = std::move(made);
      meter_.took_path(payload_path::get_decoded, answer.copies() + 1);
      return {};
    });
    return detail::counted(meter_, std::move(results));
  }

  /// The values under keys, as Ts that may borrow from the memory in which they arrived.
  ///
  /// Errors: as get_batch.
  template <class T, class Keys>
  [[nodiscard]] std::vector<result<held<T>>> view_batch(const Keys& keys, const store_call_options& options = {}) {
    auto results = detail::undone<held<T>>(std::size(keys));
    fetch(keys, options, results, [&](std::size_t index, detail::redis_answer& answer, const unpacked& items) -> result<void> {
      LADING_TRY {
        auto made = detail::from_stored<T>(items);
        if (!made) return fail(made.error());
        meter_.took_path(payload_path::get_viewed, answer.copies());
        results[index] = held<T>(std::move(*made), std::make_shared<const aligned_buffer>(std::move(answer.bytes)));
      }
      LADING_CATCH_BAD_ALLOC(return fail(errc::no_memory, {.what = "the value could not be allocated"}))
      return {};
    });
    return detail::counted(meter_, std::move(results));
  }

  /// The bytes of the values under keys, each into its buffer: as they were put, a tensor's items, or a packed buffer. Returns their sizes.
  ///
  /// Errors: as get_batch; buffer_too_small with both sizes. A buffer whose key failed is unchanged.
  template <class Keys, class Buffers>
  [[nodiscard]] std::vector<result<std::size_t>> get_batch_into(const Keys& keys, const Buffers& buffers, const store_call_options& options = {}) {
    auto results = detail::undone<std::size_t>(std::size(keys));
    if (std::size(keys) != std::size(buffers)) {
      std::fill(results.begin(), results.end(), result<std::size_t>(fail(errc::invalid_argument, {.what = "one buffer for each key"})));
      return detail::counted(meter_, std::move(results));
    }
    fetch(keys, options, results, [&](std::size_t index, detail::redis_answer& answer, const unpacked& items) -> result<void> {
      const bytes_span target = std::begin(buffers)[static_cast<std::ptrdiff_t>(index)];
      const auto size = detail::copy_stored(answer.bytes, items, target);
      if (!size) return fail(size.error());
      results[index] = *size;
      meter_.took_path(payload_path::get_staged, answer.copies() + 1);
      return {};
    });
    return detail::counted(meter_, std::move(results));
  }

  /// Whether there is anything under the keys.
  template <class Keys>
  [[nodiscard]] std::vector<result<bool>> exists_batch(const Keys& keys, const store_call_options& options = {}) {
    auto results = detail::undone<bool>(std::size(keys));
    const auto take = [&](const detail::redis_item& item, detail::redis_answer& answer) -> result<void> {
      if (!is_flag(answer)) return fail(detail::unexpected_answer(answer));
      results[item.index] = answer.number == 1;
      return {};
    };
    in_turn(options.deadline, results, [&](clock::time_point until) {
      calls_.carry(detail::items_of<detail::redis_item>(keys), until, true, naming("EXISTS"), take, fails(results));
    });
    return detail::counted(meter_, std::move(results));
  }

  /// Removes what is under the keys.
  ///
  /// Errors: by key: not_found, peer_lost, timed_out.
  template <class Keys>
  [[nodiscard]] std::vector<result<void>> remove_batch(const Keys& keys, const store_call_options& options = {}) {
    auto results = detail::undone<void>(std::size(keys));
    const auto take = [&](const detail::redis_item& item, detail::redis_answer& answer) -> result<void> {
      if (!is_flag(answer)) return fail(detail::unexpected_answer(answer));
      if (answer.number == 0) return fail(errc::not_found, {.item = item.index, .what = "no value under this key"});
      results[item.index] = result<void>{};
      return {};
    };
    in_turn(options.deadline, results, [&](clock::time_point until) {
      for (auto& wave : detail::waves_of<detail::redis_item>(keys)) calls_.carry(std::move(wave), until, false, naming("DEL"), take, fails(results));
    });
    return detail::counted(meter_, std::move(results));
  }

  /// What is stored under the prefix, and how full the server is. Keys that hold no value of a store are not counted.
  ///
  /// Complexity: walks over all keys of the database and reads 128 bytes of each under the prefix. Values that others put or remove meanwhile may be
  ///             counted twice, or not at all.
  [[nodiscard]] result<store_stats> stats(const store_call_options& options = {}) {
    const auto until = until_of(options.deadline);
    const auto turn = take_turn(until);
    return turn ? calls_.stats(until) : result<store_stats>(fail(no_turn()));
  }

  /// What its calls did, as of a store_client. Copies are those after the socket: that of a value that came with its length, and that of
  /// what owns or is wanted in a buffer.
  [[nodiscard]] exchange_metrics metrics() const noexcept { return meter_.read(); }

 private:
  using clock = std::chrono::steady_clock;

  static constexpr std::uint64_t longest_string = std::uint64_t{512} << 20;  // in redis, whatever proto-max-bulk-len says on the client's side
  static constexpr std::size_t longest_key = std::size_t{1} << 20;
  static constexpr std::size_t longest_path = 108;  // with its end: sockaddr_un

  basic_redis_store(const redis_options& options, Observer observer)
      : options_(options), meter_(std::move(observer)), line_(options_), calls_(line_, options_, meter_) {}

  [[nodiscard]] clock::time_point until_of(std::chrono::nanoseconds deadline) const noexcept {
    return later(clock::now(), deadline.count() != 0 ? deadline : options_.deadline);
  }

  /// Runs run(until) once no other call has the connection. Where that is not before the deadline, all keys are timed_out; those whose turn an allocation
  /// that failed has cut off keep the result that they began with.
  template <class T, class Run>
  void in_turn(std::chrono::nanoseconds deadline, std::vector<result<T>>& results, Run&& run) {
    const auto until = until_of(deadline);
    const auto turn = take_turn(until);
    if (!turn) {
      for (std::size_t i = 0; i < results.size(); ++i) results[i] = fail(no_turn().with_item(i));
      return;
    }
    LADING_TRY { run(until); }
    LADING_CATCH_BAD_ALLOC(static_cast<void>(0))
  }
  template <class T>
  [[nodiscard]] static auto fails(std::vector<result<T>>& results) noexcept {
    return [&results](std::size_t index, const error& why) { results[index] = fail(why.with_item(index)); };
  }

  /// How a value goes into the socket.
  template <class T>
  [[nodiscard]] static payload_path path_of(const T& value) noexcept {
    if constexpr (detail::stored_as_tensor<T>) {
      const tensor_view& view = value;
      return view.contiguous() ? payload_path::put_in_place : payload_path::put_staged;
    } else {
      return detail::stored_as_bytes<T> ? payload_path::put_in_place : payload_path::put_encoded;
    }
  }

  /// A command that has the key as its only argument.
  [[nodiscard]] detail::redis_keyed naming(const char* command) const noexcept { return {command, options_.prefix}; }
  [[nodiscard]] static bool is_flag(const detail::redis_answer& answer) noexcept {
    return answer.what == detail::redis_answer::form::number && (answer.number == 0 || answer.number == 1);
  }

  /// The connection is this call's alone as long as the turn, if it is one: there is none where another call has it until the time is up.
  [[nodiscard]] detail::turns::turn take_turn(clock::time_point until) {
    const stage_timer timer(meter_, stage::queue);
    return clock::now() < until ? turns_.take(until) : detail::turns::turn(nullptr);
  }
  [[nodiscard]] static error no_turn() noexcept {
    return error(errc::timed_out, {.what = "the deadline passed before the call's turn: have a store for each thread"});
  }
  /// Gives each value, verified, to keep(index, redis_answer&, items): its packed buffer is the answer's bytes.
  template <class T, class Keys, class Keep>
  void fetch(const Keys& keys, const store_call_options& options, std::vector<result<T>>& results, Keep&& keep) {
    const auto open = [&](std::size_t index, detail::redis_answer& answer) -> result<void> {
      const std::size_t size = answer.bytes.size();
      const auto items = [&] {
        const stage_timer timer(meter_, stage::verify, size);
        return detail::open_stored(answer.bytes);
      }();
      if (!items) return fail(items.error());
      const stage_timer timer(meter_, stage::decode, size);
      return keep(index, answer, *items);
    };
    in_turn(options.deadline, results,
            [&](clock::time_point until) { calls_.fetch(detail::items_of<detail::redis_item>(keys), until, open, fails(results)); });
  }

  redis_options options_;
  meter_type meter_;
  detail::redis_connection line_;
  detail::redis_calls<meter_type> calls_;
  detail::turns turns_;
};

using redis_store = basic_redis_store<>;
static_assert(store<redis_store>);

}  // namespace lading
