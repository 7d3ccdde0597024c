// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// Bytes land where they belong.

#include <algorithm>
#include <initializer_list>
#include <span>
#include <vector>

#include <transport/conformance/rig.hpp>

namespace lading::conformance {

/// The directions that the transport has.
[[nodiscard]] inline std::vector<op> directions_of(any_transport& used) {
  return used.capabilities().serves_get ? std::vector<op>{op::put, op::get} : std::vector<op>{op::put};
}
/// New bytes where the direction reads, zeros where it writes.
inline void renew(connected_pair& pair, op direction, std::uint64_t seed) {
  const bytes_span near = pair.near_memory.bytes(), far = pair.far_memory.bytes();
  fill(direction == op::put ? near : far, seed);
  std::memset((direction == op::put ? far : near).data(), 0, near.size());
}
/// Whether the slices' bytes are the same on both sides.
[[nodiscard]] inline bool all_same(connected_pair& pair, std::span<const slice> slices) {
  return std::all_of(slices.begin(), slices.end(), [&](const slice& each) {
    return same(pair.near_memory.bytes().subspan(each.local_offset, each.size), pair.far_memory.bytes().subspan(each.remote_offset, each.size));
  });
}

/// Every power of two up to the largest slice, and its neighbours: whatever threshold a transport has, it lies between two of them.
inline void move_every_size(const any_rig& rig, op direction) {
  const std::size_t largest = rig.largest_slice;
  connected_pair pair(rig, largest + 64);
  if (direction == op::get && !pair.near->capabilities().serves_get) GTEST_SKIP() << "the transport's capabilities say that it cannot get";
  const bytes_span source = direction == op::put ? pair.near_memory.bytes() : pair.far_memory.bytes();
  const bytes_span target = direction == op::put ? pair.far_memory.bytes() : pair.near_memory.bytes();
  std::uint64_t seed = 1;
  for (std::size_t power = 1; power <= largest; power *= 2) {
    for (const std::size_t size : {power - 1, power, power + 1}) {
      if (size > largest) continue;
      fill(source.first(size + 3), ++seed);
      std::memset(target.data(), 0x5c, size + 10);
      const slice moved = direction == op::put ? pair.one(3, 5, size) : pair.one(5, 3, size);
      const completion how = pair.run(direction, std::span(&moved, 1));
      ASSERT_TRUE(how.ok()) << size << ": " << how.status.error().message();
      ASSERT_EQ(how.bytes, size);
      ASSERT_EQ(how.done, 1u);
      ASSERT_EQ(how.failed, 0u);
      ASSERT_EQ(how.first_failed, completion::none);
      ASSERT_TRUE(same(target.subspan(5, size), source.subspan(3, size))) << size;
      ASSERT_EQ(target[4], std::byte{0x5c}) << size;
      ASSERT_EQ(target[5 + size], std::byte{0x5c}) << size;
    }
  }
}

inline void puts_every_size(const any_rig& rig) { move_every_size(rig, op::put); }
inline void gets_every_size(const any_rig& rig) { move_every_size(rig, op::get); }

inline void an_empty_batch_ends_ok(const any_rig& rig) {
  connected_pair pair(rig, 64);
  const completion how = pair.run(op::put, {});
  EXPECT_TRUE(how.ok());
  EXPECT_EQ(how.done + how.failed, 0u);
  EXPECT_EQ(how.bytes, 0u);
}

inline void many_slices_arrive(const any_rig& rig) {
  const std::size_t count = rig.many_slices;
  constexpr std::size_t most = 24, spread = 40;
  connected_pair pair(rig, count * spread);
  std::vector<slice> slices(count);
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < count; ++i) {
    slices[i] = pair.one(i * spread, (count - 1 - i) * spread, most - i % 7);
    bytes += slices[i].size;
  }
  for (const op direction : directions_of(*pair.near)) {
    renew(pair, direction, 7);
    const completion how = pair.run(direction, slices);
    ASSERT_TRUE(how.ok()) << how.status.error().message();
    EXPECT_EQ(how.done, count);
    EXPECT_EQ(how.bytes, bytes);
    ASSERT_TRUE(all_same(pair, slices));
    const bytes_span target = direction == op::put ? pair.far_memory.bytes() : pair.near_memory.bytes();
    for (const slice& each : slices) {
      ASSERT_EQ(target[(direction == op::put ? each.remote_offset : each.local_offset) + each.size], std::byte{0});
    }
  }
}

/// Slices of a few bytes beside large ones, none at all among them, as they come and prepared: transports pack some and send others alone.
inline void slices_of_mixed_sizes_arrive(const any_rig& rig) {
  connected_pair pair(rig, 1 << 20);
  std::vector<slice> slices;
  std::size_t at = 0, bytes = 0;
  for (std::size_t round = 0; round < 8; ++round) {
    for (const std::size_t size : std::initializer_list<std::size_t>{3000, 1, 0, 70'000, 64, 2047, 2048, 2049, 7, 9000, 100, 20'000}) {
      if (at + size + 8 > (1 << 20)) break;
      slices.push_back(pair.one(at, at, size));
      at += size + 5;
      bytes += size;
    }
  }
  for (const op direction : directions_of(*pair.near)) {
    renew(pair, direction, 13);
    const completion how = pair.run(direction, slices);
    ASSERT_TRUE(how.ok()) << how.status.error().message();
    EXPECT_EQ(how.bytes, bytes);
    ASSERT_TRUE(all_same(pair, slices));
    renew(pair, direction, 14);
    const prepared_batch prepared = pair.near->prepare(pair.to_far, direction, slices).value();
    transfer running = pair.near->submit(prepared).value();
    ASSERT_TRUE(pair.finish(running).ok());
    ASSERT_TRUE(all_same(pair, slices));
  }
}

inline void unaligned_offsets_and_sizes_arrive(const any_rig& rig) {
  connected_pair pair(rig, 1 << 16);
  std::vector<slice> slices;
  for (std::size_t near_shift = 0; near_shift < 17; ++near_shift) {
    for (std::size_t far_shift = 0; far_shift < 17; ++far_shift) {
      const std::size_t at = (near_shift * 17 + far_shift) * 192;
      slices.push_back(pair.one(at + near_shift, at + far_shift, 101 + near_shift));
    }
  }
  for (const op direction : directions_of(*pair.near)) {
    renew(pair, direction, 11);
    const completion how = pair.run(direction, slices);
    ASSERT_TRUE(how.ok()) << how.status.error().message();
    ASSERT_TRUE(all_same(pair, slices));
  }
}

inline void overlapping_batches_leave_bytes_of_one_of_them(const any_rig& rig) {
  constexpr std::size_t size = 1 << 16;
  connected_pair pair(rig, 2 * size);
  std::memset(pair.near_memory.bytes().data(), 1, size);
  std::memset(pair.near_memory.bytes().data() + size, 2, size);
  std::vector<transfer> running;
  for (std::size_t i = 0; i < 8; ++i) {
    const slice each = pair.one((i % 2) * size, 0, size);
    running.push_back(pair.near->submit(pair.to_far, op::put, std::span(&each, 1)).value());
  }
  for (transfer& each : running) EXPECT_TRUE(pair.finish(each).ok());
  for (std::size_t i = 0; i < size; ++i) {
    const auto byte = static_cast<int>(pair.far_memory.bytes()[i]);
    ASSERT_TRUE(byte == 1 || byte == 2) << "byte " << i << " is of neither";
  }
}

inline void several_regions_in_one_batch(const any_rig& rig) {
  connected_pair pair(rig, 4096);
  std::vector<region> near_regions, far_regions;
  std::vector<slice> slices;
  for (std::size_t i = 0; i < 20; ++i) {
    near_regions.push_back(pair.near->allocate_region(4096).value());
    far_regions.push_back(pair.far->allocate_region(4096).value());
    const auto imported = pair.near->import_region(pair.to_far, pair.far->export_region(far_regions.back()).value()).value();
    slices.push_back({near_regions.back().id(), imported, 0, 0, 4096});
  }
  for (const op direction : directions_of(*pair.near)) {
    for (std::size_t i = 0; i < near_regions.size(); ++i) {
      fill((direction == op::put ? near_regions : far_regions)[i].bytes(), 100 + i + (direction == op::put ? 0 : 1000));
    }
    ASSERT_TRUE(pair.run(direction, slices).ok());
    for (std::size_t i = 0; i < near_regions.size(); ++i) EXPECT_TRUE(same(near_regions[i].bytes(), far_regions[i].bytes())) << i;
  }
}

inline void both_directions_at_once(const any_rig& rig) {
  constexpr std::size_t half = 1 << 18, part = half / 16;
  connected_pair pair(rig, 2 * half);
  for (const op direction : directions_of(*pair.near)) {
    // Puts read the first halves and write the second ones over there; gets read the first halves over there and write the second ones here.
    std::memset(pair.near_memory.bytes().data(), 0, 2 * half);
    std::memset(pair.far_memory.bytes().data(), 0, 2 * half);
    fill(pair.near_memory.bytes().first(half), 21);
    fill(pair.far_memory.bytes().first(half), 22);
    std::vector<transfer> running;
    for (std::size_t i = 0; i < 16; ++i) {
      const std::size_t local = direction == op::put ? i * part : half + i * part, remote = direction == op::put ? half + i * part : i * part;
      const slice there{pair.near_region.id(), pair.far_import, local, remote, part};
      const slice back{pair.far_region.id(), pair.near_import, local, remote, part};
      running.push_back(pair.near->submit(pair.to_far, direction, std::span(&there, 1)).value());
      running.push_back(pair.far->submit(pair.to_near, direction, std::span(&back, 1)).value());
    }
    for (transfer& each : running) EXPECT_TRUE(pair.finish(each).ok());
    EXPECT_TRUE(same(pair.near_memory.bytes().first(half), pair.far_memory.bytes().subspan(half)));
    EXPECT_TRUE(same(pair.far_memory.bytes().first(half), pair.near_memory.bytes().subspan(half)));
  }
}

inline void many_threads_submit_at_once(const any_rig& rig) {
  constexpr std::size_t threads = 4, rounds = 100, size = 3000;
  connected_pair pair(rig, threads * rounds * size);
  const bool gets = pair.near->capabilities().serves_get;
  // Every other thread gets what lies over there.
  for (std::size_t t = 0; t < threads; ++t) {
    fill((gets && t % 2 != 0 ? pair.far_memory : pair.near_memory).bytes().subspan(t * rounds * size, rounds * size), 31 + t);
  }
  std::atomic<std::size_t> ok{0}, ended{0};
  std::vector<std::thread> submitting;
  for (std::size_t t = 0; t < threads; ++t) {
    submitting.emplace_back([&, t] {
      for (std::size_t i = 0; i < rounds; ++i) {
        const std::size_t at = (t * rounds + i) * size;
        const slice each = pair.one(at, at, size);
        auto running = pair.near->submit(pair.to_far, gets && t % 2 != 0 ? op::get : op::put, std::span(&each, 1));
        if (running && running->wait().ok()) ok.fetch_add(1);
      }
      ended.fetch_add(1);
    });
  }
  while (ended.load() != threads) {
    pair.far->progress();
    std::this_thread::yield();
  }
  for (std::thread& each : submitting) each.join();
  EXPECT_EQ(ok.load(), threads * rounds);
  EXPECT_TRUE(same(pair.near_memory.bytes(), pair.far_memory.bytes()));
}

inline void a_prepared_batch_moves_what_is_there_each_time(const any_rig& rig) {
  connected_pair pair(rig, 1 << 16);
  std::vector<slice> slices;
  for (std::size_t i = 0; i < 64; ++i) slices.push_back(pair.one(i * 1024, i * 1024, 1000));
  for (const op direction : directions_of(*pair.near)) {
    auto handed = slices;
    const prepared_batch prepared = pair.near->prepare(pair.to_far, direction, handed).value();
    EXPECT_EQ(prepared.size(), 64u);
    EXPECT_EQ(prepared.total_bytes(), 64'000u);
    handed.clear();  // the batch has its own
    for (std::uint64_t round = 0; round < 30; ++round) {
      renew(pair, direction, 500 + round);
      transfer running = pair.near->submit(prepared).value();
      const completion how = pair.finish(running);
      ASSERT_TRUE(how.ok()) << how.status.error().message();
      ASSERT_EQ(how.done, 64u);
      ASSERT_TRUE(all_same(pair, slices)) << round;
    }
  }
}

inline void a_prepared_batch_runs_several_times_at_once(const any_rig& rig) {
  constexpr std::size_t size = 1 << 16;
  connected_pair pair(rig, size);
  fill(pair.near_memory.bytes(), 601);
  std::vector<slice> slices;
  for (std::size_t i = 0; i < 16; ++i) slices.push_back(pair.one(i * 4096, i * 4096, 4096));
  const prepared_batch prepared = pair.near->prepare(pair.to_far, op::put, slices).value();
  std::vector<transfer> running;
  for (int i = 0; i < 8; ++i) running.push_back(pair.near->submit(prepared).value());
  for (transfer& each : running) {
    const completion how = pair.finish(each);
    ASSERT_TRUE(how.ok()) << how.status.error().message();
    ASSERT_EQ(how.bytes, size);
  }
  EXPECT_TRUE(same(pair.near_memory.bytes(), pair.far_memory.bytes()));
}

inline void a_notification_comes_after_its_bytes(const any_rig& rig) {
  connected_pair pair(rig, 1 << 16);
  LADING_CONFORMANCE_NEEDS_NOTIFY(*pair.near);
  for (std::uint64_t round = 0; round < 50; ++round) {
    fill(pair.near_memory.bytes(), 900 + round);
    const slice all = pair.one(0, 0, 1 << 16);
    transfer running = pair.near->submit(pair.to_far, op::put, std::span(&all, 1), {.notify_tag = round, .notify = true}).value();
    notification arrived;
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    bool got = false;
    while (!(got = pair.far->next_notification(arrived)) && std::chrono::steady_clock::now() < until) pair.progress();
    ASSERT_TRUE(got);
    ASSERT_EQ(arrived.tag, round);
    ASSERT_EQ(arrived.sender, pair.near->identity().endpoint);
    ASSERT_TRUE(same(pair.near_memory.bytes(), pair.far_memory.bytes()));
    ASSERT_TRUE(pair.finish(running).ok());
    ASSERT_FALSE(pair.far->next_notification(arrived)) << "a notification came twice";
  }
}

inline void metrics_count_what_ended(const any_rig& rig) {
  connected_pair pair(rig, 4096);
  const slice good = pair.one(0, 0, 1000), bad = pair.one(0, 4000, 97);
  ASSERT_TRUE(pair.run(op::put, std::span(&good, 1)).ok());
  ASSERT_FALSE(pair.run(op::put, std::span(&bad, 1)).ok());
  const transport_metrics counted = pair.near->metrics();
  EXPECT_EQ(counted.submitted, 1u);
  EXPECT_EQ(counted.refused, 1u);
  EXPECT_EQ(counted.completed, 1u);
  EXPECT_EQ(counted.slices, 1u);
  EXPECT_EQ(counted.bytes_put, 1000u);
  EXPECT_GE(counted.transferring, counted.posting);
}

inline constexpr conformance_case data_cases[] = {{"puts_every_size", puts_every_size},
                                                  {"gets_every_size", gets_every_size},
                                                  {"an_empty_batch_ends_ok", an_empty_batch_ends_ok},
                                                  {"many_slices_arrive", many_slices_arrive},
                                                  {"slices_of_mixed_sizes_arrive", slices_of_mixed_sizes_arrive},
                                                  {"unaligned_offsets_and_sizes_arrive", unaligned_offsets_and_sizes_arrive},
                                                  {"overlapping_batches_leave_bytes_of_one_of_them", overlapping_batches_leave_bytes_of_one_of_them},
                                                  {"several_regions_in_one_batch", several_regions_in_one_batch},
                                                  {"both_directions_at_once", both_directions_at_once},
                                                  {"many_threads_submit_at_once", many_threads_submit_at_once},
                                                  {"a_prepared_batch_moves_what_is_there_each_time", a_prepared_batch_moves_what_is_there_each_time},
                                                  {"a_prepared_batch_runs_several_times_at_once", a_prepared_batch_runs_several_times_at_once},
                                                  {"a_notification_comes_after_its_bytes", a_notification_comes_after_its_bytes},
                                                  {"metrics_count_what_ended", metrics_count_what_ended}};

}  // namespace lading::conformance
