// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// Threads put, replace, get and remove a few keys at once; afterwards there must be an order of these calls, each between its begin and its end, in which
// every one of them gives the result that it gave. The same over a transport that loses, delays, repeats, cuts and spoils what it carries, where a call of
// unknown end may have been done at any time after its begin, or never. LADING_FAULT_SEEDS and LADING_FAULT_FIRST are those of fault_test.

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <exchange/faulty_world.hpp>
#include <lading/exchange/client.hpp>
#include <lading/exchange/server.hpp>
#include <lading/exchange/service.hpp>
#include <lading/transports/loopback.hpp>

namespace lading {
namespace linearisability_test {

using server_type = store_server<loopback, select_always>;
using client_type = store_client<loopback, select_always>;

/// One call about one key. A value is a number; 0 is none.
struct event {
  enum class call { insert, replace, get, remove };
  call what = call::get;
  std::uint64_t begin = 0, end = 0;
  std::uint64_t value = 0;  // that was put, or found
  bool done = false;        // found, put, or removed
  bool unknown = false;     // it may be done, once it has begun, or not
};

/// The state after `each`, if it can have happened in `state`.
std::optional<std::uint64_t> apply(const event& each, std::uint64_t state) {
  switch (each.what) {
    case event::call::insert:
      if (each.unknown) return state == 0 ? std::optional(each.value) : std::nullopt;
      return each.done ? (state == 0 ? std::optional(each.value) : std::nullopt) : (state != 0 ? std::optional(state) : std::nullopt);
    case event::call::replace: return each.value;
    case event::call::get: return (each.done ? state == each.value : state == 0) ? std::optional(state) : std::nullopt;
    case event::call::remove:
      if (each.unknown) return state != 0 ? std::optional(std::uint64_t{0}) : std::nullopt;
      return each.done ? (state != 0 ? std::optional(std::uint64_t{0}) : std::nullopt) : (state == 0 ? std::optional(state) : std::nullopt);
  }
  return std::nullopt;
}

/// Whether there is an order. At most 64 events.
class order {
 public:
  explicit order(const std::vector<event>& all) : all_(all) {
    for (std::size_t i = 0; i < all_.size(); ++i) known_ |= all_[i].unknown ? 0 : std::uint64_t{1} << i;
  }
  [[nodiscard]] bool exists() { return search(0, 0); }

 private:
  bool search(std::uint64_t done, std::uint64_t state) {
    if ((done & known_) == known_) return true;
    if (!seen_.insert({done, state}).second) return false;
    std::uint64_t first_end = ~std::uint64_t{0};
    for (std::size_t i = 0; i < all_.size(); ++i) {
      if ((done >> i & 1) == 0) first_end = std::min(first_end, all_[i].end);
    }
    for (std::size_t i = 0; i < all_.size(); ++i) {
      if ((done >> i & 1) != 0 || all_[i].begin > first_end) continue;  // another one had ended before this one began
      const auto next = apply(all_[i], state);
      if (next && search(done | std::uint64_t{1} << i, *next)) return true;
    }
    return false;
  }

  const std::vector<event>& all_;
  std::uint64_t known_ = 0;  // those that must be in the order
  std::set<std::pair<std::uint64_t, std::uint64_t>> seen_;
};

TEST(order, is_told_from_disorder) {
  using enum event::call;
  EXPECT_TRUE(order({{insert, 1, 4, 7, true}, {get, 2, 3, 0, false}, {get, 5, 6, 7, true}}).exists());
  EXPECT_FALSE(order({{insert, 1, 2, 7, true}, {get, 3, 4, 0, false}}).exists()) << "a lost value";
  EXPECT_FALSE(order({{insert, 1, 2, 7, true}, {remove, 3, 4, 0, true}, {get, 5, 6, 7, true}}).exists()) << "a value that came back";
  EXPECT_FALSE(order({{insert, 1, 4, 7, true}, {insert, 2, 3, 8, true}}).exists()) << "two inserts of one key";
  EXPECT_TRUE(order({{replace, 1, 4, 7, true}, {replace, 2, 3, 8, true}, {get, 5, 6, 7, true}}).exists());
  constexpr std::uint64_t never = ~std::uint64_t{0};
  EXPECT_TRUE(order({{insert, 1, never, 7, false, true}, {get, 2, 3, 0, false}, {get, 4, 5, 7, true}}).exists()) << "done late";
  EXPECT_TRUE(order({{insert, 1, never, 7, false, true}, {get, 2, 3, 0, false}}).exists()) << "or never";
  EXPECT_FALSE(order({{get, 1, 2, 7, true}, {insert, 3, never, 7, false, true}}).exists()) << "but not before it began";
  EXPECT_FALSE(order({{replace, 1, never, 7, false, true}, {get, 2, 3, 7, true}, {replace, 4, 5, 8, true}, {get, 6, 7, 7, true}}).exists())
      << "nor twice";
}

constexpr std::size_t key_count = 2;
using history = std::vector<std::vector<event>>;  // of each key

/// What all callers share.
struct tally {
  std::atomic<std::uint64_t> clock{0}, marks{0};
  std::atomic<std::size_t> failures{0}, undecided{0};
};

/// One call about all keys, of any kind.
template <class Client>
void call_once(Client& one, std::mt19937_64& random, tally& all, history& into) {
  static const std::vector<std::string> names{"first", "second"};
  const auto what = static_cast<event::call>(random() % 4);
  std::vector<std::vector<std::byte>> values;
  std::vector<event> events(key_count);
  for (event& each : events) {
    each.what = what;
    each.begin = ++all.clock;
    if (what != event::call::insert && what != event::call::replace) continue;
    each.value = ++all.marks;
    std::vector<std::byte> value(std::size_t{8} << (random() % 10));
    for (std::size_t at = 0; at < value.size(); at += 8) std::memcpy(value.data() + at, &each.value, 8);
    values.push_back(std::move(value));
  }
  const auto note = [&](std::size_t key, const auto& how, errc expected) {
    events[key].done = how.has_value();
    events[key].unknown = !how && how.error() != expected;
    if (!events[key].unknown) return;
    ++all.undecided;
    if (!detail::is_transient(how.error().code())) ++all.failures;
  };
  if (what == event::call::get) {
    const auto got = one.template get_batch<std::vector<std::byte>>(names);
    for (std::size_t key = 0; key < key_count; ++key) {
      note(key, got[key], errc::not_found);
      if (!got[key]) continue;
      std::memcpy(&events[key].value, got[key]->data(), 8);
      for (std::size_t at = 0; at < got[key]->size(); at += 8)
        all.failures += std::memcmp(got[key]->data() + at, &events[key].value, 8) != 0 ? 1u : 0u;
    }
  } else if (what == event::call::remove) {
    const auto removed = one.remove_batch(names);
    for (std::size_t key = 0; key < key_count; ++key) note(key, removed[key], errc::not_found);
  } else {
    const auto put = one.put_batch(names, values, {.mode = what == event::call::insert ? put_mode::insert : put_mode::replace});
    for (std::size_t key = 0; key < key_count; ++key) note(key, put[key], errc::already_exists);
  }
  for (std::size_t key = 0; key < key_count; ++key) {
    events[key].end = events[key].unknown ? ~std::uint64_t{0} : ++all.clock;
    if (!events[key].unknown || what != event::call::get) into[key].push_back(events[key]);
  }
}

TEST(store, calls_of_threads_are_as_if_they_came_one_by_one) {
  constexpr std::size_t threads = 3, steps = 16;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    auto server = server_type::create(loopback::create().value(), {.memory = {.capacity = 1 << 20, .slab_size = 1 << 18}}).value();
    const store_service serving(*server);
    // One after the other: two that say hello at once may do so in the same place, which is harmless, but looks like a race.
    std::vector<std::unique_ptr<client_type>> clients;
    for (std::size_t t = 0; t < threads; ++t) {
      clients.push_back(client_type::connect(loopback::create().value(), server->address(),
                                             {.memory = {.capacity = 1 << 18, .slab_size = 1 << 18}, .in_place_from = 1024, .batch_workers = 1})
                            .value());
    }
    tally all;
    std::vector<history> histories(threads, history(key_count));
    {
      std::vector<std::thread> running;
      for (std::size_t t = 0; t < threads; ++t) {
        running.emplace_back([&, t] {
          std::mt19937_64 random(seed * 100 + t);
          for (std::size_t step = 0; step < steps; ++step) call_once(*clients[t], random, all, histories[t]);
        });
      }
      for (auto& each : running) each.join();
    }
    EXPECT_EQ(all.failures.load(), 0u) << "seed " << seed;
    EXPECT_EQ(all.undecided.load(), 0u) << "seed " << seed;
    for (std::size_t key = 0; key < key_count; ++key) {
      std::vector<event> events;
      for (const history& each : histories) events.insert(events.end(), each[key].begin(), each[key].end());
      EXPECT_TRUE(order(events).exists()) << "seed " << seed << ", key " << key;
    }
  }
}

/// Clients of one thread: while one waits, others begin calls, and end them.
class nested_calls : public store_conformance::faulty_world {
 public:
  explicit nested_calls(std::uint64_t seed)
      : faulty_world(
            seed, {.clients = 3, .slots = 2, .capacity = 1 << 20, .slab_size = 1 << 18, .client_memory = 1 << 18, .in_place_from = 1024, .rate = 2}) {
    busy_.resize(clients_.size());
  }
  void run() {
    running_ = true;
    while (calls_ < most_calls && !clients_.empty()) begin_call();
    running_ = false;
  }

  tally all;
  history events = history(key_count);
  std::size_t nested = 0;  // calls that began while another had not ended

 private:
  static constexpr std::size_t most_calls = 48;

  void begin_call() {
    const std::size_t which = random_() % clients_.size();
    if (busy_[which] || calls_ == most_calls) return;
    ++calls_;
    nested += std::find(busy_.begin(), busy_.end(), true) != busy_.end() ? 1u : 0u;
    busy_[which] = true;
    call_once(*clients_[which], random_, all, events);
    busy_[which] = false;
  }
  void while_waiting() override {
    if (running_ && random_() % 8 == 0) begin_call();
  }

  std::vector<bool> busy_;
  std::size_t calls_ = 0;
  bool running_ = false;
};

TEST(store, calls_that_meet_faults_are_as_if_they_came_one_by_one) {
  using store_conformance::number_from;
  const std::uint64_t seeds = number_from("LADING_FAULT_SEEDS", 1000) / 50, first = number_from("LADING_FAULT_FIRST", 1);
  std::uint64_t faults = 0, nested = 0, undecided = 0;
  for (std::uint64_t seed = first; seed < first + seeds && !::testing::Test::HasFailure(); ++seed) {
    nested_calls one(seed);
    one.run();
    EXPECT_EQ(one.all.failures.load(), 0u) << "seed " << seed;
    for (std::size_t key = 0; key < key_count; ++key) EXPECT_TRUE(order(one.events[key]).exists()) << "seed " << seed << ", key " << key;
    faults += one.faults();
    nested += one.nested;
    undecided += one.all.undecided;
  }
  EXPECT_GE(faults, seeds);
  EXPECT_GE(nested, seeds) << "no calls at the same time";
  EXPECT_LE(undecided, seeds / 10 + 1) << "what can be tried again should end well";
}

}  // namespace linearisability_test
}  // namespace lading
