// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lading/exchange/detail/retry.hpp>
#include <lading/exchange/metrics.hpp>
#include <lading/exchange/store.hpp>
#include <lading/stores/redis/connection.hpp>
#include <lading/stores/redis/options.hpp>
#include <lading/stores/redis/value.hpp>

namespace lading::detail {

/// One key of a batch.
struct redis_item {
  std::size_t index = 0;
  std::string_view key{};
  std::uint64_t size = 0;  // of the value that is fetched, where it is known
  unsigned doubts = 0;     // how often trying again may have been of no use
  error why{errc::timed_out, {.what = "the deadline passed first"}};
};

/// Makes commands that have the key as their only argument.
struct redis_keyed {
  const char* command;
  const std::string& prefix;

  [[nodiscard]] result<redis_command> operator()(const redis_item& item) const {
    return redis_command::of({command, prefix + std::string(item.key)}, item.size);
  }
};

/// Batches of commands over a connection, without types. Each key is tried again while that may help, and only then, until the time is up.
///
/// Threads: one at a time.
template <class Meter>
class redis_calls {
 public:
  using clock = redis_connection::clock;

  redis_calls(redis_connection& line, const redis_options& options, Meter& meter) noexcept : line_(line), options_(options), meter_(meter) {}

  /// Has each item's command done. prepare(item) makes it, take(item, answer) says how the answer is, and failed(index, error) is called for the items that
  /// did not succeed. Commands that are not `repeatable` are not sent again once the server may have done them.
  template <class Prepare, class Take, class Failed>
  void carry(std::vector<redis_item> pending, clock::time_point until, bool repeatable, Prepare&& prepare, Take&& take, Failed&& failed) {
    line_.forgive();
    backoff pauses(options_.first_pause, options_.longest_pause);
    while (!pending.empty()) {
      std::vector<redis_item> again;
      for (std::size_t first = 0; first < pending.size();) {
        std::optional<error> gone;
        first += carry_some(std::span(pending).subspan(first), until, repeatable, prepare, take, failed, again, gone);
        if (!gone) continue;
        for (; first < pending.size(); ++first) failed(pending[first].index, *gone);
        for (const redis_item& each : again) failed(each.index, *gone);
        return;
      }
      pending = std::move(again);
      if (!pending.empty()) meter_.retried(pending.size());
      if (!pending.empty() && !redis_connection::pause(pauses, until)) {
        for (const redis_item& each : pending) failed(each.index, each.why);
        return;
      }
    }
  }

  /// Fetches values: keep(index, redis_answer&) says how it is. Several are asked for their sizes first, so that what the server has to hold for the
  /// answers is bounded.
  template <class Keep, class Failed>
  void fetch(std::vector<redis_item> wanted, clock::time_point until, Keep&& keep, Failed&& failed) {
    std::vector<redis_item> found;
    if (wanted.size() < 2) {
      found = std::move(wanted);
    } else {
      found.reserve(wanted.size());
      const auto note = [&](const redis_item& item, redis_answer& answer) -> result<void> {
        if (answer.what != redis_answer::form::number || answer.number < 0) return fail(unexpected_answer(answer));
        const auto size = static_cast<std::uint64_t>(answer.number);
        if (size > options_.largest_value) {
          return fail(errc::limit_exceeded,
                      {.needed = size, .available = options_.largest_value, .what = "larger than redis_options::largest_value"});
        }
        found.push_back({.index = item.index, .key = item.key, .size = size});
        return {};
      };
      carry(std::move(wanted), until, true, redis_keyed{"STRLEN", options_.prefix}, note, failed);
    }
    const auto take = [&](const redis_item& item, redis_answer& answer) -> result<void> {
      if (answer.what == redis_answer::form::nil) return fail(errc::not_found, {.item = item.index, .what = "no value under this key"});
      if (answer.what != redis_answer::form::string || answer.refused) return fail(unexpected_answer(answer));
      return keep(item.index, answer);
    };
    carry(std::move(found), until, true, redis_keyed{"GET", options_.prefix}, take, failed);
  }

  [[nodiscard]] result<store_stats> stats(clock::time_point until) {
    store_stats made;
    auto told = one(redis_command::of({"INFO"}), until, [&](redis_answer& answer) -> result<void> {
      if (answer.what != redis_answer::form::string || answer.refused) return fail(unexpected_answer(answer));
      // Safety: they are characters.
      const std::string_view text(reinterpret_cast<const char*>(answer.bytes.data()), answer.bytes.size());
      const std::uint64_t used = number_after(text, "\nused_memory:");
      made.capacity = number_after(text, "\nmaxmemory:");
      made.free = made.capacity > used ? made.capacity - used : 0;
      made.evicted = number_after(text, "\nevicted_keys:");
      made.clients = number_after(text, "\nconnected_clients:");
      return {};
    });
    if (!told) return fail(told.error());
    const std::string pattern = pattern_of(options_.prefix);
    for (std::string cursor = "0";;) {
      std::vector<std::string> names;
      told = one(redis_command::of({"SCAN", cursor, "MATCH", pattern, "COUNT", "512"}), until, [&](redis_answer& answer) -> result<void> {
        if (answer.what != redis_answer::form::list || answer.refused || answer.top != 2 || answer.inner_lists != 1 || answer.words.empty() ||
            answer.words.size() != answer.inner + 1 || answer.words.front().empty() ||
            answer.words.front().find_first_not_of("0123456789") != std::string::npos) {
          return fail(unexpected_answer(answer));
        }
        names = std::move(answer.words);
        return {};
      });
      if (!told) return fail(told.error());
      cursor = names.front();
      if (told = count(std::span<const std::string>(names).subspan(1), until, made); !told) return fail(told.error());
      if (cursor == "0") return made;
      if (clock::now() >= until) return fail(errc::timed_out, {.what = "the deadline passed before all keys were seen"});
    }
  }

 private:
  [[nodiscard]] std::string name_of_key(const redis_item& item) const { return options_.prefix + std::string(item.key); }

  /// Sends the commands of the first items, as many as the window takes; returns how many items that were.
  template <class Prepare, class Take, class Failed>
  [[nodiscard]] std::size_t carry_some(std::span<const redis_item> pending, clock::time_point until, bool repeatable, Prepare& prepare, Take& take,
                                       Failed& failed, std::vector<redis_item>& again, std::optional<error>& gone) {
    std::vector<redis_command> commands;
    std::vector<const redis_item*> items;
    std::uint64_t cost = 0;
    std::size_t count = 0;
    for (; count < pending.size() && commands.size() < options_.window && cost < options_.window_bytes; ++count) {
      const redis_item& item = pending[count];
      if (options_.prefix.size() + item.key.size() > longest_name) {
        failed(item.index,
               error(errc::invalid_argument, {.needed = item.key.size(), .available = longest_name, .what = "a key too long for any store"}));
        continue;
      }
      result<redis_command> made = prepare(item);
      if (!made) {
        failed(item.index, made.error());
        continue;
      }
      cost += made->cost;
      commands.push_back(std::move(*made));
      items.push_back(&item);
    }
    if (commands.empty()) return count;
    const auto retry = [&](const redis_item& item, const error& why, bool allowed) {
      redis_item next = item;
      next.why = why;
      if (is_doubtful(why.code())) ++next.doubts;
      if (allowed && is_transient(why.code()) && next.doubts < most_doubts && clock::now() < until) {
        again.push_back(next);
      } else {
        failed(item.index, why);
      }
    };
    if (const auto ready = line_.ensure(until); !ready) {
      gone = ready.error();
      for (const redis_item* each : items) failed(each->index, *gone);
      return count;
    }
    const redis_progress made = [&] {
      stage_timer timer(meter_, stage::transfer, strategy::transport);
      return line_.run(commands, until, [&](std::size_t i, redis_answer& answer) {
        timer.add_bytes(commands[i].value ? commands[i].cost : answer.bytes.size());
        if (const result<void> how = take(*items[i], answer); !how) retry(*items[i], how.error(), true);
      });
    }();
    if (made.how) return count;
    if (line_.given_up()) gone = made.how.error();
    for (std::size_t i = made.answered; i < items.size(); ++i) retry(*items[i], made.how.error(), !gone && (repeatable || i >= made.sent));
    return count;
  }

  /// One command that is about no key; take(answer) says how it is.
  template <class Take>
  [[nodiscard]] result<void> one(const redis_command& command, clock::time_point until, Take&& take) {
    result<void> how;
    const auto prepare = [&](const redis_item&) -> result<redis_command> { return redis_command{.head = command.head}; };
    const auto accept = [&](const redis_item&, redis_answer& answer) -> result<void> { return take(answer); };
    carry({redis_item{}}, until, true, prepare, accept, [&](std::size_t, const error& why) { how = fail(why); });
    return how;
  }

  /// Adds the values under these names to `sum`.
  [[nodiscard]] result<void> count(std::span<const std::string> names, clock::time_point until, store_stats& sum) {
    std::vector<redis_item> items;
    for (const std::string& each : names) {
      if (each.size() >= options_.prefix.size())
        items.push_back({.index = items.size(), .key = std::string_view(each).substr(options_.prefix.size())});
    }
    result<void> how;
    const auto last = std::to_string(stored_beginning - 1);
    const auto prepare = [&](const redis_item& item) -> result<redis_command> {
      return redis_command::of({"GETRANGE", name_of_key(item), "0", last}, stored_beginning);
    };
    const auto take = [&](const redis_item&, redis_answer& answer) -> result<void> {
      if (answer.what == redis_answer::form::failure && redis_error(answer.text) == errc::schema_mismatch) return {};  // no string
      if (answer.what != redis_answer::form::string || answer.refused) return fail(unexpected_answer(answer));
      if (const auto size = stored_size(answer.bytes)) {
        ++sum.values;
        sum.bytes += *size;
      }
      return {};
    };
    carry(std::move(items), until, true, prepare, take, [&](std::size_t, const error& why) { how = fail(why); });
    return how;
  }

  [[nodiscard]] static std::uint64_t number_after(std::string_view text, std::string_view label) noexcept {
    const std::size_t at = text.find(label);
    std::uint64_t number = 0;
    if (at != std::string_view::npos) std::from_chars(text.data() + at + label.size(), text.data() + text.size(), number);
    return number;
  }
  /// The pattern of all keys that begin so.
  [[nodiscard]] static std::string pattern_of(std::string_view prefix) {
    std::string made;
    for (const char each : prefix) {
      if (std::string_view("*?[]\\^-").find(each) != std::string_view::npos) made += '\\';
      made += each;
    }
    return made += '*';
  }

  static constexpr std::size_t longest_name = std::size_t{64} << 20;

  redis_connection& line_;
  const redis_options& options_;
  Meter& meter_;
};

}  // namespace lading::detail
