// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0

// Threads put, replace, get and remove a few keys at once; afterwards there must be an order of these calls, each between its begin and its end, in which
// every one of them gives the result that it gave.

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
};

/// The state after `each`, if it can have happened in `state`.
std::optional<std::uint64_t> apply(const event& each, std::uint64_t state) {
  switch (each.what) {
    case event::call::insert:
      return each.done ? (state == 0 ? std::optional(each.value) : std::nullopt) : (state != 0 ? std::optional(state) : std::nullopt);
    case event::call::replace: return each.value;
    case event::call::get: return (each.done ? state == each.value : state == 0) ? std::optional(state) : std::nullopt;
    case event::call::remove:
      return each.done ? (state != 0 ? std::optional(std::uint64_t{0}) : std::nullopt) : (state == 0 ? std::optional(state) : std::nullopt);
  }
  return std::nullopt;
}

/// Whether there is an order. At most 64 events.
class order {
 public:
  explicit order(const std::vector<event>& all) : all_(all) {}
  [[nodiscard]] bool exists() { return search(0, 0); }

 private:
  bool search(std::uint64_t done, std::uint64_t state) {
    if (done == (all_.size() == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << all_.size()) - 1)) return true;
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
  std::set<std::pair<std::uint64_t, std::uint64_t>> seen_;
};

TEST(order, is_told_from_disorder) {
  using enum event::call;
  EXPECT_TRUE(order({{insert, 1, 4, 7, true}, {get, 2, 3, 0, false}, {get, 5, 6, 7, true}}).exists());
  EXPECT_FALSE(order({{insert, 1, 2, 7, true}, {get, 3, 4, 0, false}}).exists()) << "a lost value";
  EXPECT_FALSE(order({{insert, 1, 2, 7, true}, {remove, 3, 4, 0, true}, {get, 5, 6, 7, true}}).exists()) << "a value that came back";
  EXPECT_FALSE(order({{insert, 1, 4, 7, true}, {insert, 2, 3, 8, true}}).exists()) << "two inserts of one key";
  EXPECT_TRUE(order({{replace, 1, 4, 7, true}, {replace, 2, 3, 8, true}, {get, 5, 6, 7, true}}).exists());
}

TEST(store, calls_of_threads_are_as_if_they_came_one_by_one) {
  constexpr std::size_t threads = 3, keys = 2, steps = 16;
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
    std::atomic<std::uint64_t> clock{0}, marks{0};
    std::vector<std::vector<event>> history[threads];
    std::atomic<std::size_t> failures{0};
    {
      std::vector<std::thread> running;
      for (std::size_t t = 0; t < threads; ++t) {
        history[t].resize(keys);
        running.emplace_back([&, t] {
          std::mt19937_64 random(seed * 100 + t);
          auto& one = clients[t];
          const std::vector<std::string> names{"first", "second"};
          for (std::size_t step = 0; step < steps; ++step) {
            const auto what = static_cast<event::call>(random() % 4);
            std::vector<std::vector<std::byte>> values;
            std::vector<event> events(keys);
            for (event& each : events) {
              each.what = what;
              each.begin = ++clock;
              if (what != event::call::insert && what != event::call::replace) continue;
              each.value = ++marks;
              std::vector<std::byte> value(std::size_t{8} << (random() % 10));
              for (std::size_t at = 0; at < value.size(); at += 8) std::memcpy(value.data() + at, &each.value, 8);
              values.push_back(std::move(value));
            }
            const auto note = [&](std::size_t key, const auto& how, errc expected) {
              events[key].done = how.has_value();
              if (!how && how.error() != expected) ++failures;
            };
            if (what == event::call::get) {
              const auto got = one->get_batch<std::vector<std::byte>>(names);
              for (std::size_t key = 0; key < keys; ++key) {
                note(key, got[key], errc::not_found);
                if (!got[key]) continue;
                std::memcpy(&events[key].value, got[key]->data(), 8);
                for (std::size_t at = 0; at < got[key]->size(); at += 8)
                  failures += std::memcmp(got[key]->data() + at, &events[key].value, 8) != 0 ? 1u : 0u;
              }
            } else if (what == event::call::remove) {
              const auto removed = one->remove_batch(names);
              for (std::size_t key = 0; key < keys; ++key) note(key, removed[key], errc::not_found);
            } else {
              const auto put = one->put_batch(names, values, {.mode = what == event::call::insert ? put_mode::insert : put_mode::replace});
              for (std::size_t key = 0; key < keys; ++key) note(key, put[key], errc::already_exists);
            }
            for (std::size_t key = 0; key < keys; ++key) {
              events[key].end = ++clock;
              history[t][key].push_back(events[key]);
            }
          }
        });
      }
      for (auto& each : running) each.join();
    }
    EXPECT_EQ(failures.load(), 0u) << "seed " << seed;
    for (std::size_t key = 0; key < keys; ++key) {
      std::vector<event> all;
      for (const auto& of_thread : history) all.insert(all.end(), of_thread[key].begin(), of_thread[key].end());
      EXPECT_TRUE(order(all).exists()) << "seed " << seed << ", key " << key;
    }
  }
}

}  // namespace linearisability_test
}  // namespace lading
