// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <new>
#include <stdexcept>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include <lading/exchange/detail/batch_results.hpp>
#include <lading/exchange/detail/crew.hpp>
#include <lading/exchange/detail/store_calls.hpp>
#include <lading/exchange/detail/typed_calls.hpp>
#include <lading/exchange/store.hpp>
#include <lading/transport/time_source.hpp>

namespace lading {

/// How a store client works.
struct store_client_options {
  slab_options memory{.capacity = std::uint64_t{64} << 20, .slab_size = std::uint64_t{64} << 20};  ///< for values that are encoded or staged
  channel_options channel{};
  std::chrono::nanoseconds deadline = std::chrono::seconds(30);  ///< of a call that names none
  std::size_t in_place_from = 256 << 10;                 ///< bytes from which registering a user's memory costs less than copying into the slab
  std::uint64_t largest_value = std::uint64_t{4} << 30;  ///< bytes for which get_batch and view_batch set memory aside on the server's word
  std::size_t batch_workers = 0;    ///< parts of a batch that are under way at a time; 0 = as many as there are processors, up to 4
  std::size_t serial_workers = 0;   ///< threads that share encoding and decoding one part; 0 = the processors that batch_workers leave
  std::size_t keys_per_part = 256;  ///< at most
  worker_pool* pool = nullptr;      ///< whose threads these are; null = worker_pool::shared()
  submitter_options moving{};
};

/// A value that may borrow: from memory that it holds.
///
/// Lifetime: the client must outlive it.
template <class T>
class held {
 public:
  held(T value, std::shared_ptr<const void> memory) : memory_(std::move(memory)), value_(std::move(value)) {}
  [[nodiscard]] const T& operator*() const& noexcept { return value_; }
  [[nodiscard]] const T* operator->() const& noexcept { return &value_; }
  void operator*() const&& = delete;
  void operator->() const&& = delete;

 private:
  std::shared_ptr<const void> memory_;
  T value_;
};

/// A store in another process, or another part of this one.
///
/// Tensors and bytes are sent from where they lie, and land where they are wanted; other values are encoded into a registered slab. A large batch goes in
/// parts, `batch_workers` at a time. What may succeed when it is tried again is, for the keys that failed, until the deadline.
/// Lifetime: its values and registrations must not outlive it.
/// Threads:  any, and several calls at once.
template <transport Transport, class Selector = select_by_process, exchange_observer Observer = no_observer>
class store_client {
 public:
  using meter_type = exchange_meter<Observer>;
  using submitter_type = basic_submitter<Transport, Selector, meter_type>;

  /// Connects to the store of that address.
  ///
  /// Errors: invalid_argument for options that make no sense, unsupported for a transport that cannot notify or get; those of the address; peer_lost and
  ///         timed_out where nobody answers.
  [[nodiscard]] static result<std::unique_ptr<store_client>> connect(Transport transport, bytes_view address,
                                                                     const store_client_options& options = {}, Selector select = {},
                                                                     Observer observer = {}) {
    const channel_options& line = options.channel;
    if (line.slots == 0 || line.slots >= protocol::most_slots || line.slot_size < protocol::least_slot || line.slot_size > protocol::largest_slot ||
        line.slot_size % 64 != 0 || line.attempt_time.count() <= 0 || line.connect_time.count() <= 0 || line.first_pause.count() <= 0 ||
        line.longest_pause < line.first_pause || options.deadline.count() <= 0 || options.keys_per_part == 0 || options.largest_value == 0) {
      return fail(errc::invalid_argument, {.what = "an option of the client is zero, or above its limit"});
    }
    if (!transport.capabilities().notifies || !transport.capabilities().serves_get) {
      return fail(errc::unsupported, {.what = "a store needs a transport that notifies and gets"});
    }
    auto made = std::unique_ptr<store_client>(new store_client(std::move(transport), options, std::move(observer)));
    if (auto begun = made->begin(std::move(select)); !begun) return fail(begun.error());
    if (auto connected = made->reconnect(address); !connected) return fail(connected.error());
    return made;
  }

  /// Goes to another server, such as one that took the place of one that died. Values that are being moved meanwhile fail, and are tried again there.
  [[nodiscard]] result<void> reconnect(bytes_view address) { return line_->connect(address, later(clock::now(), options_.deadline)); }

  /// Puts values under keys. `values` are all of one type: bytes (bytes_view, bytes_span, std::vector<std::byte>), tensor, tensor_view, or anything
  /// encodable.
  ///
  /// Errors:   by key: already_exists, no_space, invalid_argument (keys and values not equally many; a key above the server's limit), those of encoding,
  ///           of the transport, and timed_out.
  /// Lifetime: values are read until it returns, and those above in_place_from or in memory that is registered, where their key ended timed_out or
  ///           peer_lost, until the transport has let them go: see quiescent().
  template <class Keys, class Values>
  [[nodiscard]] std::vector<result<void>> put_batch(const Keys& keys, const Values& values, const put_options& options = {}) {
    using value_type = typename detail::values_in<Values>::type;
    auto results = detail::undone<void>(std::size(keys));
    if (std::size(keys) != std::size(values)) {
      std::fill(results.begin(), results.end(), result<void>(fail(errc::invalid_argument, {.what = "one value for each key"})));
      return detail::counted(meter_, std::move(results));
    }
    const auto until = until_of(options.deadline);
    for (const auto& wave : detail::waves_of<detail::wanted_value>(keys)) {
      in_parts(wave, [&](std::span<const detail::wanted_value> part) {
        std::vector<detail::outgoing_value> ready;
        ready.reserve(part.size());
        const auto done = [&](std::size_t index, const result<void>& how) { results[index] = how; };
        typed_->template prepare<value_type>(part, values, ready, until, done);
        calls_->put(ready, options.mode, until, done);
      });
    }
    return detail::counted(meter_, std::move(results));
  }

  /// The values under keys, as Ts that own what they hold.
  ///
  /// Errors: by key: not_found, schema_mismatch for a value of another type, limit_exceeded for one above largest_value, no_memory, those of decoding and of
  ///         the transport, and timed_out.
  template <class T, class Keys>
  [[nodiscard]] std::vector<result<T>> get_batch(const Keys& keys, const store_call_options& options = {}) {
    static_assert(!detail::borrows_when_stored<T>(),
                  "lading: a T with views would borrow memory that nobody holds: use view_batch<T>, or a T that owns");
    auto results = detail::undone<T>(std::size(keys));
    const auto until = until_of(options.deadline);
    in_parts(detail::items_of<detail::wanted_value>(keys),
             [&](std::span<const detail::wanted_value> part) { typed_->template get<T>(part, results, until); });
    return detail::counted(meter_, std::move(results));
  }

  /// The values under keys, as Ts that may borrow from the memory in which they arrived.
  ///
  /// Errors: as get_batch.
  template <class T, class Keys>
  [[nodiscard]] std::vector<result<held<T>>> view_batch(const Keys& keys, const store_call_options& options = {}) {
    auto results = detail::undone<held<T>>(std::size(keys));
    const auto until = until_of(options.deadline);
    in_parts(detail::items_of<detail::wanted_value>(keys),
             [&](std::span<const detail::wanted_value> part) { typed_->template view<T>(part, results, until); });
    return detail::counted(meter_, std::move(results));
  }

  /// The bytes of the values under keys, each into its buffer: a tensor's items, a packed buffer. Returns their sizes.
  ///
  /// Errors:   by key: not_found, buffer_too_small with both sizes, and those of the transport. A buffer whose key failed holds unspecified bytes.
  /// Lifetime: as for put_batch, buffers of keys that ended timed_out, peer_lost or busy may be written until the transport has let them go: see
  ///           quiescent(). Until then nothing else lands in them; it is busy.
  template <class Keys, class Buffers>
  [[nodiscard]] std::vector<result<std::size_t>> get_batch_into(const Keys& keys, const Buffers& buffers, const store_call_options& options = {}) {
    auto results = detail::undone<std::size_t>(std::size(keys));
    if (std::size(keys) != std::size(buffers)) {
      std::fill(results.begin(), results.end(), result<std::size_t>(fail(errc::invalid_argument, {.what = "one buffer for each key"})));
      return detail::counted(meter_, std::move(results));
    }
    const auto until = until_of(options.deadline);
    in_parts(detail::items_of<detail::wanted_value>(keys), [&](std::span<const detail::wanted_value> part) {
      std::unordered_map<std::size_t, detail::landing> landed;
      const auto place = [&](std::size_t index, const protocol::meta& meta) -> result<detail::registered_bytes*> {
        const bytes_span target = std::begin(buffers)[static_cast<std::ptrdiff_t>(index)];
        if (meta.size > target.size()) {
          return fail(errc::buffer_too_small, {.needed = meta.size, .available = target.size(), .what = "the buffer cannot hold the value"});
        }
        return typed_->land(landed[index], target.first(static_cast<std::size_t>(meta.size)));
      };
      calls_->get(part, until, place, [&](std::size_t index, const protocol::meta& meta, const result<void>& how) {
        if (!how) return static_cast<void>(results[index] = fail(how.error()));
        typed_->arrive(landed[index]);
        results[index] = static_cast<std::size_t>(meta.size);
        landed.erase(index);
      });
    });
    return detail::counted(meter_, std::move(results));
  }

  /// Whether there are values under the keys.
  template <class Keys>
  [[nodiscard]] std::vector<result<bool>> exists_batch(const Keys& keys, const store_call_options& options = {}) {
    auto results = detail::undone<bool>(std::size(keys));
    calls_->ask(
        protocol::kind::exists, detail::items_of<detail::wanted_value>(keys), until_of(options.deadline),
        [&](std::size_t index, errc code) { results[index] = code == errc{} || code == errc::not_found ? result<bool>(code == errc{}) : fail(code); },
        [&](std::size_t index, const error& why) { results[index] = fail(why); });
    return detail::counted(meter_, std::move(results));
  }

  /// Removes the values under the keys. Who is reading one keeps it until then.
  ///
  /// Errors: by key: not_found, and those of the transport.
  template <class Keys>
  [[nodiscard]] std::vector<result<void>> remove_batch(const Keys& keys, const store_call_options& options = {}) {
    auto results = detail::undone<void>(std::size(keys));
    calls_->ask(
        protocol::kind::remove, detail::items_of<detail::wanted_value>(keys), until_of(options.deadline),
        [&](std::size_t index, errc code) { results[index] = code == errc{} ? result<void>{} : fail(code); },
        [&](std::size_t index, const error& why) { results[index] = fail(why); });
    return detail::counted(meter_, std::move(results));
  }

  /// What the server holds.
  [[nodiscard]] result<store_stats> stats(const store_call_options& options = {}) {
    store_stats seen;
    auto asked =
        line_->template call<store_stats>(protocol::kind::stats, protocol::nothing{}, until_of(options.deadline), [&](const store_stats& answer) {
          seen = answer;
          return result<void>{};
        });
    if (!asked) return fail(asked.error());
    return seen;
  }

  /// Registers memory for as long as the registration is kept: values and buffers in it cost no registration of their own.
  [[nodiscard]] result<registration> register_memory(bytes_span memory) { return memory_->keep_registered(memory); }

  /// Whether the transport has let go of all memory of calls that have returned: values and buffers of keys that failed may be freed or used again.
  /// What is kept registered by the caller a server may read later still: end that registration first. Whoever waits for it makes progress by
  /// transport_used(), unless a thread does.
  [[nodiscard]] bool quiescent() noexcept {
    submitter_->reap();
    return memory_->settle() && submitter_->quiescent();
  }

  [[nodiscard]] exchange_metrics metrics() const noexcept { return meter_.read(); }
  [[nodiscard]] Transport& transport_used() noexcept { return transport_; }

 private:
  using clock = std::chrono::steady_clock;
  using channel_type = detail::channel<Transport, submitter_type>;
  using calls_type = detail::store_calls<Transport, submitter_type>;
  using memory_type = detail::client_memory<Transport, submitter_type>;
  using typed_type = detail::typed_calls<Transport, submitter_type>;

  store_client(Transport&& transport, const store_client_options& options, Observer observer)
      : options_(options), meter_(std::move(observer)), transport_(std::move(transport)) {
    const std::size_t processors = detail::hardware_threads();
    if (options_.batch_workers == 0) options_.batch_workers = std::min<std::size_t>(processors, 4);
    if (options_.serial_workers == 0) options_.serial_workers = std::max<std::size_t>(processors / options_.batch_workers, 1);
  }

  [[nodiscard]] result<void> begin(Selector select) {
    auto made = submitter_type::create(transport_, meter_, options_.moving, std::move(select));
    if (!made) return fail(made.error());
    submitter_ = std::make_unique<submitter_type>(std::move(*made));
    auto pool = slab_pool<submitter_type>::create(transport_, *submitter_, options_.memory);
    if (!pool) return fail(pool.error());
    memory_ = std::make_unique<memory_type>(std::move(*pool), transport_, *submitter_);
    line_ = std::make_unique<channel_type>(transport_, *submitter_, options_.channel);
    const detail::crew all{options_.pool, options_.batch_workers * options_.serial_workers};
    calls_ = std::make_unique<calls_type>(*line_, *submitter_, all);
    typed_ = std::make_unique<typed_type>(*calls_, *memory_, *submitter_,
                                          detail::typed_options{.in_place_from = options_.in_place_from,
                                                                .largest_value = options_.largest_value,
                                                                .coders = {options_.pool, options_.serial_workers},
                                                                .hashers = all});
    return line_->open();
  }

  [[nodiscard]] clock::time_point until_of(std::chrono::nanoseconds deadline) const noexcept {
    return later(clock::now(), deadline.count() != 0 ? deadline : options_.deadline);
  }
  /// Calls run(part) for the parts of a batch, batch_workers at a time.
  template <class Run>
  void in_parts(const std::vector<detail::wanted_value>& all, Run&& run) {
    if (all.empty()) return;
    const std::size_t even = (all.size() + options_.batch_workers - 1) / options_.batch_workers;
    const std::size_t size = std::min(std::max<std::size_t>(even, least_part), options_.keys_per_part);
    const std::size_t parts = (all.size() + size - 1) / size;
    const auto run_one = [&](std::size_t part) {
      const std::size_t first = part * size;
      run(std::span(all).subspan(first, std::min(size, all.size() - first)));
    };
    // A part waits for the server, never for another part, so a pool of one is enough.
    LADING_TRY { detail::crew{options_.pool, options_.batch_workers}.run(parts, run_one); }
    LADING_CATCH_BAD_ALLOC(static_cast<void>(0))  // keys whose part failed were never done
  }

  static constexpr std::size_t least_part = 8;  // keys: a request costs as much as some

  store_client_options options_;
  meter_type meter_;
  Transport transport_;
  std::unique_ptr<submitter_type> submitter_;
  std::unique_ptr<memory_type> memory_;
  std::unique_ptr<channel_type> line_;
  std::unique_ptr<calls_type> calls_;
  std::unique_ptr<typed_type> typed_;
};

}  // namespace lading
