// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include <lading/core/error.hpp>
#include <lading/core/result.hpp>
#include <lading/exchange/strategy.hpp>

namespace lading {

/// What an exchange spends its time on.
enum class stage : std::uint8_t {
  encode,       ///< values into slots
  pack,         ///< bytes into slots, where they are not sent from where they are
  registering,  ///< memory with the transport
  queue,        ///< waiting for a free request slot
  post,         ///< handing slices to the transport
  transfer,     ///< from then until the slices have arrived
  verify,       ///< checksums
  decode,       ///< values out of slots
};
inline constexpr std::size_t stage_count = 8;
inline constexpr std::array<std::string_view, stage_count> stage_names{"encode", "pack", "register", "queue", "post", "transfer", "verify", "decode"};

/// The ways of a payload, of which each has its number of copies besides the transfer itself: 0 or 1. slice_staged is that of a submitter's tiny slices.
enum class payload_path : std::uint8_t { put_in_place, put_staged, put_encoded, get_in_place, get_staged, get_viewed, get_decoded, slice_staged };
inline constexpr std::size_t payload_path_count = 8;
inline constexpr std::array<std::string_view, payload_path_count> payload_path_names{"put_in_place", "put_staged", "put_encoded", "get_in_place",
                                                                                     "get_staged",   "get_viewed", "get_decoded", "slice_staged"};

/// How long something took, how often, and how many bytes it was about.
struct stage_metrics {
  static constexpr std::size_t bucket_count = 44;

  std::uint64_t count = 0;
  std::uint64_t bytes = 0;
  std::chrono::nanoseconds total{0};
  std::array<std::uint64_t, bucket_count> buckets{};  ///< bucket i: durations below 2^i ns, and not below half of that; the last one: all others

  /// The duration that `share` (0 to 1) of all did not exceed, rounded up to a power of two.
  [[nodiscard]] std::chrono::nanoseconds quantile(double share) const noexcept {
    const auto all = static_cast<double>(count);
    const auto below = static_cast<std::uint64_t>(share * all);
    const std::uint64_t wanted = below + (static_cast<double>(below) < share * all ? 1 : 0);
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < bucket_count; ++i) {
      seen += buckets[i];
      if (seen != 0 && seen >= wanted) return std::chrono::nanoseconds(std::int64_t{1} << i);
    }
    return std::chrono::nanoseconds{0};
  }
};

/// What an exchange has done so far, counted when things end.
struct exchange_metrics {
  static constexpr std::size_t code_count = 128;

  struct path_metrics {
    std::uint64_t values = 0;  ///< that went this way
    std::uint64_t copies = 0;  ///< of their payloads, made by this process besides the transfer
  };

  /// Items of submissions, of one strategy. A store counts its keys besides: moving one takes an item or more, or none.
  struct item_metrics {
    std::uint64_t succeeded = 0;
    std::array<std::uint64_t, code_count> errors{};  ///< by errc

    [[nodiscard]] std::uint64_t failed(errc code) const noexcept { return errors[static_cast<std::size_t>(code) % code_count]; }
    [[nodiscard]] std::uint64_t failed() const noexcept { return sum_of(errors); }
  };

  std::array<std::array<stage_metrics, stage_count>, strategy_count> stages{};
  std::array<stage_metrics, stage_count> common{};  ///< stages that are of no strategy, such as encoding
  std::array<item_metrics, strategy_count> items{};
  std::array<path_metrics, payload_path_count> paths{};
  std::array<std::uint64_t, code_count> errors{};  ///< keys that failed, by errc
  std::uint64_t succeeded = 0;                     ///< keys that ended well
  std::uint64_t retried = 0;                       ///< keys that were tried again

  [[nodiscard]] const stage_metrics& at(stage what, strategy how) const noexcept {
    return stages[static_cast<std::size_t>(how)][static_cast<std::size_t>(what)];
  }
  /// A stage that is of no strategy: all but post, transfer and a submitter's pack.
  [[nodiscard]] const stage_metrics& at(stage what) const noexcept { return common[static_cast<std::size_t>(what)]; }
  [[nodiscard]] const item_metrics& at(strategy how) const noexcept { return items[static_cast<std::size_t>(how)]; }
  [[nodiscard]] const path_metrics& at(payload_path way) const noexcept { return paths[static_cast<std::size_t>(way)]; }
  [[nodiscard]] std::uint64_t failed(errc code) const noexcept { return errors[static_cast<std::size_t>(code) % code_count]; }
  [[nodiscard]] std::uint64_t failed() const noexcept { return sum_of(errors); }

  /// A few lines for people.
  [[nodiscard]] std::string describe() const {
    std::string text = "ok " + std::to_string(succeeded) + ", failed " + std::to_string(failed()) + ", tried again " + std::to_string(retried) + '\n';
    add_errors(text, errors);
    for (std::size_t how = 0; how < strategy_count; ++how) {
      if (items[how].succeeded + items[how].failed() == 0) continue;
      (text += strategy_names[how]) +=
          " items: ok " + std::to_string(items[how].succeeded) + ", failed " + std::to_string(items[how].failed()) + '\n';
      add_errors(text, items[how].errors);
    }
    for (std::size_t what = 0; what < stage_count; ++what) add_stage(text, "", what, common[what]);
    for (std::size_t how = 0; how < strategy_count; ++how) {
      for (std::size_t what = 0; what < stage_count; ++what) add_stage(text, std::string(strategy_names[how]) + ' ', what, stages[how][what]);
    }
    for (std::size_t way = 0; way < payload_path_count; ++way) {
      if (paths[way].values == 0) continue;
      (text += payload_path_names[way]) += ": " + std::to_string(paths[way].values) + " values, " + std::to_string(paths[way].copies) + " copies\n";
    }
    return text;
  }

 private:
  using by_code = std::array<std::uint64_t, code_count>;

  [[nodiscard]] static std::uint64_t sum_of(const by_code& counts) noexcept {
    std::uint64_t sum = 0;
    for (const std::uint64_t each : counts) sum += each;
    return sum;
  }
  static void add_stage(std::string& text, const std::string& how, std::size_t what, const stage_metrics& each) {
    if (each.count == 0) return;
    ((text += how) += stage_names[what]) += ": " + std::to_string(each.count) + " times, mean " +
                                            std::to_string(each.total.count() / static_cast<std::int64_t>(each.count)) + " ns, 99 % within " +
                                            std::to_string(each.quantile(0.99).count()) + " ns";
    if (each.bytes != 0) text += ", " + std::to_string(each.bytes) + " bytes";
    text += '\n';
  }
  static void add_errors(std::string& text, const by_code& counts) {
    for (std::size_t code = 0; code < code_count; ++code) {
      if (counts[code] != 0) ((text += "  ") += name_of(static_cast<errc>(code))) += ' ' + std::to_string(counts[code]) + '\n';
    }
  }
};

/// Told of each stage that ends, besides the counters, and of its strategy where it is of one. no_observer is compiled away.
///
/// Threads: several at once; must not call back.
template <class Candidate>
concept exchange_observer = requires(Candidate& told, stage what, std::optional<strategy> how, std::chrono::nanoseconds took, std::uint64_t bytes) {
  { told.ended(what, how, took, bytes) } noexcept;
};

struct no_observer {
  void ended(stage, std::optional<strategy>, std::chrono::nanoseconds, std::uint64_t) noexcept {}
};
static_assert(exchange_observer<no_observer> && std::is_empty_v<no_observer>);

/// Counts what an exchange does, when it ends. Reading while others count gives numbers of about the same moment.
///
/// Threads: any; no locks.
template <exchange_observer Observer = no_observer>
class exchange_meter {
 public:
  using clock = std::chrono::steady_clock;

  explicit exchange_meter(Observer observer = {}) : observer_(std::move(observer)) {}

  /// Counts one stage, of a strategy or of none, that took so long.
  void ended(stage what, std::optional<strategy> how, std::chrono::nanoseconds took, std::uint64_t bytes = 0) noexcept {
    counters& each = stages_[how ? static_cast<std::size_t>(*how) : strategy_count][static_cast<std::size_t>(what)];
    const auto nanoseconds = static_cast<std::uint64_t>(took.count() < 0 ? 0 : took.count());
    const auto bucket = static_cast<std::size_t>(std::bit_width(nanoseconds));
    add(each.buckets[bucket < stage_metrics::bucket_count ? bucket : stage_metrics::bucket_count - 1], 1);
    add(each.bytes, bytes);
    add(each.total, nanoseconds);
    observer_.ended(what, how, took, bytes);
  }

  void succeeded(std::uint64_t count = 1) noexcept { add(succeeded_, count); }
  void failed(errc code, std::uint64_t count = 1) noexcept { add(errors_[static_cast<std::size_t>(code) % exchange_metrics::code_count], count); }
  void retried(std::uint64_t count = 1) noexcept { add(retried_, count); }
  void items_succeeded(strategy how, std::uint64_t count) noexcept { add(items_[static_cast<std::size_t>(how)].succeeded, count); }
  void item_failed(strategy how, errc code) noexcept {
    add(items_[static_cast<std::size_t>(how)].errors[static_cast<std::size_t>(code) % exchange_metrics::code_count], 1);
  }
  void took_path(payload_path way, std::uint64_t copies, std::uint64_t values = 1) noexcept {
    add(values_[static_cast<std::size_t>(way)], values);
    add(copies_[static_cast<std::size_t>(way)], copies);
  }

  [[nodiscard]] exchange_metrics read() const noexcept {
    exchange_metrics all;
    for (std::size_t how = 0; how <= strategy_count; ++how) {
      for (std::size_t what = 0; what < stage_count; ++what) {
        const counters& from = stages_[how][what];
        stage_metrics& to = how < strategy_count ? all.stages[how][what] : all.common[what];
        for (std::size_t i = 0; i < stage_metrics::bucket_count; ++i) to.count += to.buckets[i] = from.buckets[i].load(std::memory_order_relaxed);
        to.bytes = from.bytes.load(std::memory_order_relaxed);
        to.total = std::chrono::nanoseconds(from.total.load(std::memory_order_relaxed));
      }
    }
    for (std::size_t how = 0; how < strategy_count; ++how) {
      all.items[how].succeeded = items_[how].succeeded.load(std::memory_order_relaxed);
      for (std::size_t code = 0; code < exchange_metrics::code_count; ++code) {
        all.items[how].errors[code] = items_[how].errors[code].load(std::memory_order_relaxed);
      }
    }
    for (std::size_t way = 0; way < payload_path_count; ++way) {
      all.paths[way] = {values_[way].load(std::memory_order_relaxed), copies_[way].load(std::memory_order_relaxed)};
    }
    for (std::size_t code = 0; code < exchange_metrics::code_count; ++code) all.errors[code] = errors_[code].load(std::memory_order_relaxed);
    all.succeeded = succeeded_.load(std::memory_order_relaxed);
    all.retried = retried_.load(std::memory_order_relaxed);
    return all;
  }

 private:
  using counter = std::atomic<std::uint64_t>;
  struct counters {
    std::array<counter, stage_metrics::bucket_count> buckets{};
    counter bytes{0}, total{0};
  };
  struct item_counters {
    counter succeeded{0};
    std::array<counter, exchange_metrics::code_count> errors{};
  };
  static void add(counter& number, std::uint64_t step) noexcept { number.fetch_add(step, std::memory_order_relaxed); }

  std::array<std::array<counters, stage_count>, strategy_count + 1> stages_{};  // the last ones are of no strategy
  std::array<item_counters, strategy_count> items_{};
  std::array<counter, payload_path_count> values_{}, copies_{};
  std::array<counter, exchange_metrics::code_count> errors_{};
  counter succeeded_{0}, retried_{0};
  [[no_unique_address]] Observer observer_;
};

/// Times a scope as one stage, of no strategy where none is given.
template <class Meter>
class stage_timer {
 public:
  stage_timer(Meter& meter, stage what, std::uint64_t bytes = 0) noexcept : stage_timer(meter, what, std::nullopt, bytes) {}
  stage_timer(Meter& meter, stage what, std::optional<strategy> how, std::uint64_t bytes = 0) noexcept
      : meter_(meter), bytes_(bytes), begun_(Meter::clock::now()), what_(what), how_(how) {}
  stage_timer(const stage_timer&) = delete;
  stage_timer& operator=(const stage_timer&) = delete;
  ~stage_timer() { meter_.ended(what_, how_, Meter::clock::now() - begun_, bytes_); }

  void add_bytes(std::uint64_t bytes) noexcept { bytes_ += bytes; }

 private:
  Meter& meter_;
  std::uint64_t bytes_;
  typename Meter::clock::time_point begun_;
  stage what_;
  std::optional<strategy> how_;
};

}  // namespace lading
