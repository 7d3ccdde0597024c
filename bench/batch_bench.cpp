// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// Batches beside memcpy of the same bytes into the same slots, and two workers beside one. vs_floor is the ratio of the best times.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>

#include <lading/batch/decode.hpp>
#include <lading/batch/encode.hpp>
#include <lading/codec/tensor/tensor.hpp>

#include "paired.hpp"

namespace {

using lading::bytes_span;
using lading::bytes_view;
using lading::tensor;
using lading::tensor_view;

template <class Tensor>
struct six {
  Tensor input_ids, attention_mask, position_ids, log_probs, rewards, responses;
};
using six_views = six<tensor_view>;
using six_tensors = six<tensor>;
using by_name = std::map<std::string, tensor>;

constexpr std::array<std::int64_t, 6> lengths{128, 160, 128, 144, 137, 137};  // int32 items: 3,336 bytes an object
constexpr std::array<const char*, 6> names{"attention_mask", "input_ids", "log_probs", "position_ids", "responses", "rewards"};

std::vector<std::byte> random_bytes(std::size_t size) {
  static std::mt19937_64 random(1);
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i + 8 <= size; i += 8) {
    const std::uint64_t word = random();
    std::memcpy(bytes.data() + i, &word, 8);
  }
  return bytes;
}

/// Objects, and their items' bytes for memcpy.
template <class Object>
struct workload {
  std::vector<std::vector<std::byte>> storage;
  std::vector<Object> objects;
  std::vector<std::vector<bytes_view>> items;
};

tensor_view view_of(const std::vector<std::byte>& bytes) {
  return *tensor_view::from_bytes(lading::dtype::int32, {static_cast<std::int64_t>(bytes.size() / 4)}, bytes);
}

template <class Object>
void add_object(workload<Object>& work, const std::array<std::size_t, 6>& sizes) {
  std::array<tensor_view, 6> views;
  for (std::size_t i = 0; i < 6; ++i) {
    work.storage.push_back(random_bytes(sizes[i]));
    views[i] = view_of(work.storage.back());
  }
  Object& object = work.objects.emplace_back();
  std::vector<bytes_view>& items = work.items.emplace_back();
  if constexpr (std::is_same_v<Object, six_views>) {
    object = {views[0], views[1], views[2], views[3], views[4], views[5]};
    for (const tensor_view& view : views) items.push_back(*view.bytes());
  } else {
    for (std::size_t i = 0; i < 6; ++i) {
      auto copy = tensor::copy_of(views[i]);
      items.push_back(*copy->view().bytes());
      object.emplace(names[i], std::move(*copy));
    }
  }
}

template <class Object>
workload<Object> small_objects(std::size_t count) {
  workload<Object> work;
  std::array<std::size_t, 6> sizes;
  for (std::size_t i = 0; i < 6; ++i) sizes[i] = static_cast<std::size_t>(lengths[i]) * 4;
  for (std::size_t i = 0; i < count; ++i) add_object(work, sizes);
  return work;
}

template <class Object>
workload<Object> large_objects(std::size_t count, std::size_t bytes) {
  workload<Object> work;
  for (std::size_t i = 0; i < count; ++i) add_object(work, {bytes / 2, bytes / 4, bytes / 8, bytes / 16, bytes / 32, bytes / 32});
  return work;
}

/// paired::compare, and what an object took on both sides.
void compare(benchmark::State& state, std::size_t count, auto&& run, auto&& floor) {
  paired::compare(state, run, floor);
  state.counters["us_per_object"] = state.counters["best_ns"] / 1e3 / static_cast<double>(count);
  state.counters["floor_us_per_object"] = state.counters["floor_ns"] / 1e3 / static_cast<double>(count);
}

/// Slots of one slab, one behind the other at multiples of 64.
class slab {
 public:
  explicit slab(std::size_t size) : bytes_(size + 64) {}

  std::vector<bytes_span> operator()(std::span<const std::size_t> sizes) {
    void* place = bytes_.data();
    std::size_t room = bytes_.size();
    auto* begin = static_cast<std::byte*>(std::align(64, 1, place, room));
    std::vector<bytes_span> slots;
    slots.reserve(sizes.size());
    for (const std::size_t size : sizes) {
      slots.emplace_back(begin, size);
      begin += (size + 63) & ~std::size_t{63};
    }
    return slots;
  }

 private:
  std::vector<std::byte> bytes_;
};

template <class Object>
struct prepared {
  workload<Object> work;
  std::size_t bytes = 0;
  slab slots;
  lading::packed_batch batch;

  explicit prepared(workload<Object> made) : work(std::move(made)), bytes(total(work)), slots(bytes + work.objects.size() * 4096) {
    auto encoded = lading::batch_encode_into(work.objects, slots);
    if (encoded) batch = std::move(*encoded);
  }
  static std::size_t total(const workload<Object>& work) {
    std::size_t sum = 0;
    for (const auto& items : work.items) {
      for (const bytes_view item : items) sum += item.size();
    }
    return sum;
  }
  /// memcpy of every item to the slots.
  auto floor() {
    return [this] {
      for (std::size_t i = 0; i < work.items.size(); ++i) {
        std::byte* place = batch.buffers[i].data();
        for (const bytes_view item : work.items[i]) {
          std::memcpy(place, item.data(), item.size());
          place += item.size();
        }
        benchmark::DoNotOptimize(place);
      }
    };
  }
};

template <class Object>
auto encode_of(benchmark::State& state, prepared<Object>& data, std::size_t workers, bool checksum) {
  return [&state, &data, workers, checksum] {
    auto encoded = lading::batch_encode_into(data.work.objects, data.slots, {.num_workers = workers, .checksum = checksum});
    if (!encoded) state.SkipWithError("batch_encode_into failed");
    benchmark::DoNotOptimize(encoded);
  };
}

template <class Decoded, class Object>
auto decode_of(benchmark::State& state, prepared<Object>& data, std::size_t workers, bool verify) {
  return [&state, &data, workers, verify] {
    auto decoded = lading::batch_decode_from<Decoded>(data.batch, {.num_workers = workers, .verify_checksum = verify});
    if (!decoded) state.SkipWithError("batch_decode_from failed");
    benchmark::DoNotOptimize(decoded);
  };
}

template <class Object>
void encode(benchmark::State& state, workload<Object> (*make)(), bool checksum) {
  prepared<Object> data(make());
  compare(state, data.work.objects.size(), encode_of(state, data, 1, checksum), data.floor());
}

template <class Object, class Decoded>
void decode(benchmark::State& state, workload<Object> (*make)(), bool verify) {
  prepared<Object> data(make());
  prepared<Object> copy(make());  // the floor overwrites these slots, not the ones that are read
  compare(state, data.work.objects.size(), decode_of<Decoded>(state, data, 1, verify), copy.floor());
}

template <class Object>
void encode_by_two(benchmark::State& state, workload<Object> (*make)(), bool checksum) {
  prepared<Object> data(make());
  compare(state, data.work.objects.size(), encode_of(state, data, 2, checksum), encode_of(state, data, 1, checksum));
}

template <class Object, class Decoded>
void decode_by_two(benchmark::State& state, workload<Object> (*make)(), bool verify) {
  prepared<Object> data(make());
  compare(state, data.work.objects.size(), decode_of<Decoded>(state, data, 2, verify), decode_of<Decoded>(state, data, 1, verify));
}

const bool registered = [] {
  const auto add = [](std::string name, int rounds, auto&& run) {
    benchmark::RegisterBenchmark(name.c_str(), run)->UseManualTime()->Iterations(rounds)->Unit(benchmark::kMicrosecond);
  };
  constexpr int many = 200, few = 7;
  const auto views = [] { return small_objects<six_views>(1024); };
  const auto maps = [] { return small_objects<by_name>(1024); };
  const auto large = [] { return large_objects<six_views>(32, std::size_t{8} << 20); };
  const auto huge = [] { return large_objects<six_views>(1, std::size_t{256} << 20); };
  for (const bool checksum : {true, false}) {
    const std::string rest = checksum ? "/checksum" : "/plain";
    const std::string two = rest + "/2_workers_beside_1";
    using state = benchmark::State&;
    add("encode/1024_structs_of_6_tensors" + rest, many, [=](state s) { encode<six_views>(s, views, checksum); });
    add("encode/1024_structs_of_6_tensors" + two, many, [=](state s) { encode_by_two<six_views>(s, views, checksum); });
    add("encode/1024_maps_of_6_tensors" + rest, many, [=](state s) { encode<by_name>(s, maps, checksum); });
    add("encode/1024_maps_of_6_tensors" + two, many, [=](state s) { encode_by_two<by_name>(s, maps, checksum); });
    add("encode/256MiB_in_32_objects" + rest, few, [=](state s) { encode<six_views>(s, large, checksum); });
    add("encode/256MiB_in_32_objects" + two, few, [=](state s) { encode_by_two<six_views>(s, large, checksum); });
    add("encode/256MiB_in_1_object" + rest, few, [=](state s) { encode<six_views>(s, huge, checksum); });
    add("encode/256MiB_in_1_object" + two, few, [=](state s) { encode_by_two<six_views>(s, huge, checksum); });
    add("decode/1024_structs_owning" + rest, many, [=](state s) { decode<six_views, six_tensors>(s, views, checksum); });
    add("decode/1024_structs_owning" + two, many, [=](state s) { decode_by_two<six_views, six_tensors>(s, views, checksum); });
    add("decode/1024_structs_as_views" + rest, many, [=](state s) { decode<six_views, six_views>(s, views, checksum); });
    add("decode/1024_structs_as_views" + two, many, [=](state s) { decode_by_two<six_views, six_views>(s, views, checksum); });
    add("decode/1024_maps_owning" + rest, many, [=](state s) { decode<by_name, by_name>(s, maps, checksum); });
    add("decode/256MiB_in_32_objects_owning" + rest, few, [=](state s) { decode<six_views, six_tensors>(s, large, checksum); });
    add("decode/256MiB_in_32_objects_owning" + two, few, [=](state s) { decode_by_two<six_views, six_tensors>(s, large, checksum); });
    add("decode/256MiB_in_1_object_as_views" + rest, few, [=](state s) { decode<six_views, six_views>(s, huge, checksum); });
    add("decode/256MiB_in_1_object_as_views" + two, few, [=](state s) { decode_by_two<six_views, six_views>(s, huge, checksum); });
  }
  return true;
}();

}  // namespace
