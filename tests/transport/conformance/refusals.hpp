// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// What must not move does not, and says why.

#include <transport/conformance/rig.hpp>

namespace lading::conformance {

/// The batch moved nothing: refused at submit, or ended with `code`; returns the error's details.
inline error_details expect_refused(connected_pair& pair, op direction, std::span<const slice> slices, errc code) {
  const std::vector<std::byte> near_before(pair.near_memory.bytes().begin(), pair.near_memory.bytes().end());
  const std::vector<std::byte> far_before(pair.far_memory.bytes().begin(), pair.far_memory.bytes().end());
  const completion how = pair.run(direction, slices);
  EXPECT_FALSE(how.ok());
  EXPECT_TRUE(same(pair.near_memory.bytes(), near_before)) << "a refused batch wrote here";
  EXPECT_TRUE(same(pair.far_memory.bytes(), far_before)) << "a refused batch wrote there";
  if (how.ok()) return {};
  EXPECT_EQ(name_of(how.status.error().code()), name_of(code));
  return how.status.error().details();
}

inline void slices_out_of_range(const any_rig& rig) {
  constexpr std::uint64_t size = 4096, top = ~std::uint64_t{0};
  connected_pair pair(rig, size);
  fill(pair.near_memory.bytes(), 41);
  struct range {
    std::uint64_t offset, size;
  };
  for (const range wrong : {range{size, 1}, range{0, size + 1}, range{size - 1, 2}, range{size + 1, 0}, range{1, top}, range{top, 1}, range{top, top},
                            range{top - 6, 7}, range{std::uint64_t{1} << 63, std::uint64_t{1} << 63}}) {
    const slice near_wrong = pair.one(wrong.offset, 0, wrong.size), far_wrong = pair.one(0, wrong.offset, wrong.size);
    for (const slice& each : {near_wrong, far_wrong}) {
      // The last of a batch: those before it must not move either.
      const std::vector<slice> batch{pair.one(0, 0, 64), pair.one(64, 64, 64), each};
      const error_details why = expect_refused(pair, op::put, batch, errc::out_of_range);
      EXPECT_EQ(why.item, 2u);
      EXPECT_EQ(why.needed, wrong.size);
      EXPECT_EQ(why.available, size);
    }
  }
  const std::vector<slice> control{pair.one(0, 0, size), pair.one(size, 0, 0), pair.one(size - 1, size - 1, 1)};
  EXPECT_TRUE(pair.run(op::put, control).ok());
}

inline void regions_that_are_not_registered(const any_rig& rig) {
  connected_pair pair(rig, 4096);
  const slice control = pair.one(0, 0, 16);
  for (const std::uint32_t id : {0u, 12345u, 0xffffffffu}) {
    slice wrong = control;
    wrong.local = region_id{id};
    EXPECT_EQ(expect_refused(pair, op::put, std::span(&wrong, 1), errc::not_registered).item, 0u);
    wrong = control;
    wrong.remote = remote_region_id{id};
    EXPECT_EQ(expect_refused(pair, op::put, std::span(&wrong, 1), errc::not_registered).item, 0u);
  }
  EXPECT_TRUE(pair.run(op::put, std::span(&control, 1)).ok());
}

inline void a_local_region_after_deregistration(const any_rig& rig) {
  connected_pair pair(rig, 4096);
  region extra = pair.near->allocate_region(4096).value();
  const slice each{extra.id(), pair.far_import, 0, 0, 16};
  const prepared_batch prepared = pair.near->prepare(pair.to_far, op::put, std::span(&each, 1)).value();
  ASSERT_TRUE(pair.run(op::put, std::span(&each, 1)).ok());
  ASSERT_TRUE(extra.deregister().has_value());
  EXPECT_EQ(extra.size(), 0u);
  EXPECT_EQ(extra.deregister().error(), errc::not_registered);
  region again = pair.near->allocate_region(4096).value();  // may lie where the other did
  EXPECT_NE(again.id(), each.local);
  expect_refused(pair, op::put, std::span(&each, 1), errc::not_registered);
  EXPECT_EQ(pair.near->submit(prepared).error(), errc::not_registered);
}

inline void a_remote_region_of_an_older_generation(const any_rig& rig) {
  connected_pair pair(rig, 4096);
  const slice each = pair.one(0, 0, 16);
  const auto old_descriptor = pair.far->export_region(pair.far_region).value();
  ASSERT_TRUE(pair.run(op::put, std::span(&each, 1)).ok());
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  result<void> gone = pair.far_region.deregister();
  while (!gone && gone.error() == errc::busy && std::chrono::steady_clock::now() < until) {
    pair.progress();
    gone = pair.far_region.deregister();
  }
  ASSERT_TRUE(gone.has_value());
  if (rig.shares_regions) pair.far_memory = guarded_memory(4096);  // the other went with its region
  fill(pair.near_memory.bytes(), 51);
  expect_refused(pair, op::put, std::span(&each, 1), errc::not_registered);
  // The same memory again is another registration: the old handle still does not reach it.
  pair.far_region = pair.make_region(*pair.far, pair.far_memory);
  expect_refused(pair, op::put, std::span(&each, 1), errc::not_registered);
  if (pair.near->capabilities().serves_get) expect_refused(pair, op::get, std::span(&each, 1), errc::not_registered);
  if (const auto stale = pair.near->import_region(pair.to_far, old_descriptor); stale) {
    slice by_old = each;
    by_old.remote = *stale;
    expect_refused(pair, op::put, std::span(&by_old, 1), errc::not_registered);
  } else {
    EXPECT_EQ(stale.error(), errc::not_registered);
  }
  slice by_new = each;
  by_new.remote = pair.near->import_region(pair.to_far, pair.far->export_region(pair.far_region).value()).value();
  EXPECT_TRUE(pair.run(op::put, std::span(&by_new, 1)).ok());
}

inline void refuse_one_of_three(const any_rig& rig, op direction) {
  connected_pair pair(rig, 4096);
  if (direction == op::get && !pair.near->capabilities().serves_get) return;
  const bytes_span source = (direction == op::put ? pair.near_memory : pair.far_memory).bytes();
  fill(source, 53);
  region doomed = pair.far->allocate_region(4096).value();
  slice wrong = pair.one(64, 64, 64);
  wrong.remote = pair.near->import_region(pair.to_far, pair.far->export_region(doomed).value()).value();
  ASSERT_TRUE(pair.run(op::put, std::span(&wrong, 1)).ok());
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!doomed.deregister() && std::chrono::steady_clock::now() < until) pair.progress();
  ASSERT_EQ(doomed.size(), 0u);
  const std::vector<slice> batch{pair.one(0, 0, 64), wrong, pair.one(1000, 1000, 3000)};
  const completion how = pair.run(direction, batch);
  ASSERT_FALSE(how.ok());
  EXPECT_EQ(name_of(how.status.error().code()), "not_registered");
  // Where this side could see it, the whole batch was refused, and nothing moved.
  const bool all = how.done == 0;
  EXPECT_EQ(how.failed, all ? 3u : 1u);
  EXPECT_EQ(how.first_failed, all ? 0u : 1u);
  EXPECT_EQ(how.bytes, all ? 0u : 3064u);
  for (const slice& each : {batch.front(), batch.back()}) {
    const bytes_view near = pair.near_memory.bytes().subspan(each.local_offset, each.size);
    const bytes_view far = pair.far_memory.bytes().subspan(each.remote_offset, each.size);
    const bytes_view arrived = direction == op::put ? far : near;
    EXPECT_EQ(same(near, far), !all);
    EXPECT_EQ(std::all_of(arrived.begin(), arrived.end(), [](std::byte one) { return one == std::byte{0}; }), all);
  }
  const slice control = pair.one(0, 64, 900);
  EXPECT_TRUE(pair.run(direction, std::span(&control, 1)).ok());
}
inline void a_slice_that_is_refused_does_not_hold_up_the_others(const any_rig& rig) {
  refuse_one_of_three(rig, op::put);
  refuse_one_of_three(rig, op::get);
}

inline void descriptors_that_were_cut_or_changed(const any_rig& rig) {
  connected_pair pair(rig, 4096);
  const std::vector<std::byte> good = pair.far->export_region(pair.far_region).value();
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(pair.near->import_region(pair.to_far, bytes_view(good).first(size)).has_value()) << "cut to " << size;
  }
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::vector<std::byte> changed = good;
    changed[bit / 8] ^= std::byte{static_cast<unsigned char>(1u << (bit % 8))};
    EXPECT_FALSE(pair.near->import_region(pair.to_far, changed).has_value()) << "bit " << bit;
  }
  std::vector<std::byte> longer = good;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(pair.near->import_region(pair.to_far, longer).has_value());
  EXPECT_TRUE(pair.near->import_region(pair.to_far, good).has_value());
}

inline void descriptors_of_others(const any_rig& rig) {
  connected_pair pair(rig, 4096);
  const auto own = pair.near->export_region(pair.near_region).value();
  EXPECT_EQ(pair.near->import_region(pair.to_far, own).error(), errc::not_registered) << "its own region is not the peer's";
  const auto good = pair.far->export_region(pair.far_region).value();
  EXPECT_EQ(pair.near->import_region(peer_id{}, good).error(), errc::closed);
  EXPECT_FALSE(pair.near->import_region(pair.to_far, pair.far->address().value()).has_value()) << "an address is no descriptor";
  EXPECT_FALSE(pair.near->export_region(region{}).has_value());
  EXPECT_TRUE(pair.near->import_region(pair.to_far, good).has_value());
}

inline void a_remote_region_of_another_peer(const any_rig& rig) {
  connected_pair pair(rig, 4096);
  auto third = pair.rig.make({}).value();
  const peer_id to_third = connect(*pair.near, third);
  const slice each = pair.one(0, 0, 16);
  EXPECT_EQ(pair.near->submit(to_third, op::put, std::span(&each, 1)).error(), errc::invalid_argument);
  EXPECT_TRUE(pair.run(op::put, std::span(&each, 1)).ok());
}

inline void an_import_after_its_release(const any_rig& rig) {
  connected_pair pair(rig, 4096);
  const auto second = pair.near->import_region(pair.to_far, pair.far->export_region(pair.far_region).value()).value();
  slice each = pair.one(0, 0, 16);
  each.remote = second;
  ASSERT_TRUE(pair.run(op::put, std::span(&each, 1)).ok());
  ASSERT_TRUE(pair.near->release_region(second).has_value());
  EXPECT_EQ(pair.near->release_region(second).error(), errc::not_registered);
  expect_refused(pair, op::put, std::span(&each, 1), errc::not_registered);
  const slice control = pair.one(0, 0, 16);
  EXPECT_TRUE(pair.run(op::put, std::span(&control, 1)).ok());
}

inline void addresses_that_were_cut_or_changed(const any_rig& rig) {
  auto near = rig.make({}).value();
  auto far = rig.make({}).value();
  const std::vector<std::byte> good = far.address().value();
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(near.connect(bytes_view(good).first(size), std::chrono::milliseconds(1)).has_value()) << "cut to " << size;
  }
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::vector<std::byte> changed = good;
    changed[bit / 8] ^= std::byte{static_cast<unsigned char>(1u << (bit % 8))};
    EXPECT_FALSE(near.connect(changed, std::chrono::milliseconds(1)).has_value()) << "bit " << bit;
  }
  connect(near, far);
}

inline void regions_of_no_bytes(const any_rig& rig) {
  auto near = rig.make({}).value();
  EXPECT_EQ(near.register_region({}).error(), errc::invalid_argument);
  EXPECT_EQ(near.allocate_region(0).error(), errc::invalid_argument);
  const region control = near.allocate_region(1).value();
  EXPECT_EQ(control.size(), 1u);
}

inline constexpr conformance_case refusals_cases[] = {
    {"slices_out_of_range", slices_out_of_range},
    {"regions_that_are_not_registered", regions_that_are_not_registered},
    {"a_local_region_after_deregistration", a_local_region_after_deregistration},
    {"a_remote_region_of_an_older_generation", a_remote_region_of_an_older_generation},
    {"a_slice_that_is_refused_does_not_hold_up_the_others", a_slice_that_is_refused_does_not_hold_up_the_others},
    {"descriptors_that_were_cut_or_changed", descriptors_that_were_cut_or_changed},
    {"descriptors_of_others", descriptors_of_others},
    {"a_remote_region_of_another_peer", a_remote_region_of_another_peer},
    {"an_import_after_its_release", an_import_after_its_release},
    {"addresses_that_were_cut_or_changed", addresses_that_were_cut_or_changed},
    {"regions_of_no_bytes", regions_of_no_bytes}};

}  // namespace lading::conformance
