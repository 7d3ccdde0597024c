// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include <support/meter.hpp>
#include <support/problem.hpp>
#include "arguments.hpp"
#include "channel.hpp"
#include "report.hpp"

namespace demo {

using support::expect;
using support::meter;
using support::problem;
using support::step;

/// Runs a list of steps in rounds, and keeps the best time of each.
class stopwatch {
 public:
  stopwatch(std::size_t rounds, meter& progress) : rounds_(rounds), progress_(progress) {}

  /// In round 0 adds a row, later improves on it. Steps come in the same order in each round.
  template <class Work>
  void run(const char* name, const char* floor, std::uint64_t bytes, std::size_t objects, Work&& work) {
    progress_.advance(name);
    const auto start = std::chrono::steady_clock::now();
    work();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (next_ == rows_.size()) rows_.push_back({name, floor, objects, bytes, seconds});
    rows_[next_].seconds = std::min(rows_[next_].seconds, seconds);
    ++next_;
  }
  [[nodiscard]] bool another_round() {
    next_ = 0;
    return done_++ < rounds_;
  }
  void write_to(report& told) const {
    for (const step& row : rows_) told.steps.add(row);
  }

 private:
  std::size_t rounds_;
  meter& progress_;
  std::vector<step> rows_;
  std::size_t next_ = 0;
  std::size_t done_ = 0;
};

inline constexpr const char* floor_to_slab = "memcpy, values to slab";
inline constexpr const char* floor_across = "memcpy, slab to slab";

/// Rounds that make the best of them mean something, without making anybody wait.
[[nodiscard]] inline std::size_t rounds_for(std::uint64_t bytes, const ship_options& options) {
  if (options.rounds != 0) return options.rounds;
  return static_cast<std::size_t>(std::clamp<std::uint64_t>((std::uint64_t{2} << 30) / (bytes + 1), 5, 200));
}

/// Where objects are cut into batches so that each fits the slab: the end of each batch.
[[nodiscard]] inline std::vector<std::size_t> batch_ends(std::span<const std::size_t> sizes, std::size_t slab_limit) {
  std::vector<std::size_t> ends;
  std::size_t begin = 0;
  for (std::size_t i = 1; i <= sizes.size(); ++i) {
    if (i == sizes.size() || channel::slab_size_for(sizes.subspan(begin, i + 1 - begin)) > slab_limit) {
      ends.push_back(i);
      begin = i;
    }
  }
  return ends;
}

/// The slab that the largest of the batches needs.
[[nodiscard]] inline std::size_t slab_size_of(std::span<const std::size_t> sizes, std::span<const std::size_t> ends) {
  std::size_t largest = 64, begin = 0;
  for (const std::size_t end : ends) {
    largest = std::max(largest, channel::slab_size_for(sizes.subspan(begin, end - begin)));
    begin = end;
  }
  return largest;
}

/// One payload, and where packing puts it.
struct placed_payload {
  std::byte* target;
  lading::bytes_view source;
};

/// The floor of packing: the same payloads to the same places.
inline void copy_payloads(std::span<const placed_payload> payloads) {
  for (const placed_payload& each : payloads) {
    if (!each.source.empty()) std::memcpy(each.target, each.source.data(), each.source.size());
  }
}

/// Pairs the items of one object with their places in its packed slot.
template <class Layout, class Items>
void place_payloads(std::vector<placed_payload>& payloads, const Items& items, lading::bytes_span slot) {
  const auto places = expect(lading::unpack_from<Layout>(slot, {.verify_checksum = false}), "finding the payloads");
  for (std::size_t i = 0; i < items.size(); ++i) payloads.push_back({slot.data() + (places[i].data() - slot.data()), items[i]});
}

/// What unpack_from says of a buffer with one bit flipped; throws a problem where it does not notice.
template <class Layout>
std::string refusal_of_a_flipped_bit(lading::bytes_span buffer, std::size_t place) {
  buffer[place] ^= std::byte{1};
  const auto items = lading::unpack_from<Layout>(buffer);
  buffer[place] ^= std::byte{1};
  if (items) throw problem("a received buffer with a flipped bit was accepted");
  return items.error().message();
}

[[nodiscard]] inline lading::bytes_span largest_of(std::span<const lading::bytes_span> buffers) {
  return *std::max_element(buffers.begin(), buffers.end(), [](const auto& left, const auto& right) { return left.size() < right.size(); });
}

[[noreturn]] inline void not_what_was_sent(std::size_t object, const char* how) {
  throw problem("object " + std::to_string(object) + " is not what was sent, " + how);
}

/// Ships `objects` (at least one, of type Sent) and gets them as Owned and as View, types of the same structure; same(sent, received) compares.
template <class Owned, class View, class Sent>
void ship_values(std::span<const Sent> objects, const ship_options& options, report& told) {
  using layout = lading::layout::aligned;
  meter progress;
  std::vector<std::size_t> sizes;
  for (std::size_t i = 0; i < objects.size(); ++i) {
    const auto frames = expect(lading::encode(objects[i]), "encoding object", i);
    sizes.push_back(expect(lading::calc_packed_size(frames), "measuring object", i));
    for (const lading::bytes_view frame : frames) told.payload_bytes += frame.size();
  }
  const std::vector<std::size_t> ends = batch_ends(sizes, options.slab_limit);
  told.objects = objects.size();
  told.slab_bytes = slab_size_of(sizes, ends);
  told.workers = options.workers;
  told.rounds = rounds_for(told.payload_bytes, options);
  progress.expect(ends.size() * told.rounds * 10);

  channel link(told.slab_bytes, options.workers);
  const auto allocate = [&](std::span<const std::size_t> wanted) { return link.slots(wanted); };
  const lading::batch_options checked{.num_workers = options.workers};
  const lading::batch_options unchecked{.num_workers = options.workers, .checksum = false};

  std::size_t begin = 0;
  for (const std::size_t end : ends) {
    const std::span<const Sent> batch = objects.subspan(begin, end - begin);
    const std::size_t count = batch.size();

    // What the floors copy: the objects' frames, to where packing puts them.
    std::vector<lading::frames> frames;
    std::vector<placed_payload> payloads;
    const lading::packed_batch packed = expect(lading::batch_encode_into(batch, allocate, checked), "packing the batch from object", begin);
    std::uint64_t packed_bytes = 0, frame_bytes = 0;
    for (std::size_t i = 0; i < count; ++i) {
      frames.push_back(expect(lading::encode(batch[i]), "encoding object", begin + i));
      place_payloads<layout>(payloads, frames.back(), packed.buffers[i]);
      packed_bytes += packed.sizes[i];
    }
    for (const placed_payload& each : payloads) frame_bytes += each.source.size();

    const std::vector<lading::bytes_span> received = link.received();
    stopwatch watch(told.rounds, progress);
    while (watch.another_round()) {
      const auto encode = [&](const lading::batch_options& how) {
        (void)expect(lading::batch_encode_into(batch, allocate, how), "packing the batch from object", begin);
      };
      link.wipe_source();
      watch.run(floor_to_slab, floor_to_slab, frame_bytes, count, [&] { copy_payloads(payloads); });
      link.wipe_source();
      watch.run("encode + pack, no checksum", floor_to_slab, packed_bytes, count, [&] { encode(unchecked); });
      link.wipe_source();
      watch.run("encode + pack, checksums", floor_to_slab, packed_bytes, count, [&] { encode(checked); });
      link.wipe_target();
      watch.run(floor_across, floor_across, packed_bytes, count, [&] { link.copy(); });
      link.wipe_target();
      watch.run("transfer, loopback put", floor_across, packed_bytes, count, [&] { link.transfer(); });

      std::vector<lading::unpacked> items;
      items.reserve(count);
      watch.run("validate, checksums", floor_across, packed_bytes, count, [&] {
        for (std::size_t i = 0; i < count; ++i) {
          items.push_back(
              expect(lading::unpack_from<layout>(received[i], {.expected_schema = lading::schema_of<View>()}), "validating object", begin + i));
        }
      });
      std::vector<Owned> values;
      watch.run("validate + decode, owned values", floor_across, packed_bytes, count,
                [&] { values = expect(lading::batch_decode_from<Owned>(received, checked), "decoding the batch from object", begin); });
      watch.run("compare owned values", floor_across, frame_bytes, count, [&] {
        for (std::size_t i = 0; i < count; ++i) {
          if (!same(batch[i], values[i])) not_what_was_sent(begin + i, "decoded to an owned value");
        }
      });
      std::vector<View> views(count);
      watch.run("decode as views", floor_across, 0, count, [&] {
        for (std::size_t i = 0; i < count; ++i) views[i] = expect(lading::decode<View>(items[i]), "decoding object", begin + i);
      });
      watch.run("compare views", floor_across, frame_bytes, count, [&] {
        for (std::size_t i = 0; i < count; ++i) {
          if (!same(batch[i], views[i])) not_what_was_sent(begin + i, "decoded as a view");
        }
      });
    }
    watch.write_to(told);
    const lading::bytes_span largest = largest_of(received);
    told.refusal = refusal_of_a_flipped_bit<layout>(largest, largest.size() / 2);
    begin = end;
  }
}

}  // namespace demo
