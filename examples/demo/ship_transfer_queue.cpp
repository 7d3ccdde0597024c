// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "cargo.hpp"
#include "ship.hpp"

namespace demo {

/// Ships objects that are packed already, in the form of TransferQueue: opens them, packs their items again, and gets the same bytes.
static void ship_packed(std::span<const mapped_file> objects, const ship_options& options, report& told) {
  using layout = lading::layout::transfer_queue;
  meter progress;
  std::vector<std::size_t> sizes;
  std::vector<lading::unpacked> opened;
  std::size_t item_count = 0;
  for (const mapped_file& object : objects) {
    auto items = lading::unpack_from<layout>(object.bytes());
    if (!items) throw problem(object.path() + ": not a packed object of TransferQueue: " + items.error().message());
    item_count += items->size();
    for (const lading::bytes_view item : *items) told.payload_bytes += item.size();
    opened.push_back(std::move(*items));
    sizes.push_back(object.bytes().size());
  }
  const std::vector<std::size_t> ends = batch_ends(sizes, options.slab_limit);
  told.cargo += ", " + std::to_string(item_count) + " items";
  told.objects = objects.size();
  told.slab_bytes = slab_size_of(sizes, ends);
  told.workers = options.workers;
  told.rounds = rounds_for(told.payload_bytes, options);
  progress.expect(ends.size() * told.rounds * 7);

  channel link(told.slab_bytes, options.workers);
  std::size_t begin = 0;
  for (const std::size_t end : ends) {
    const std::size_t count = end - begin;
    const auto slots = link.slots(std::span(sizes).subspan(begin, count));
    const auto pack = [&] {
      for (std::size_t i = 0; i < count; ++i) (void)expect(lading::pack_into<layout>(slots[i], opened[begin + i]), "packing object", begin + i);
    };
    std::vector<placed_payload> payloads;
    std::uint64_t packed_bytes = 0, item_bytes = 0;
    pack();
    for (std::size_t i = 0; i < count; ++i) {
      place_payloads<layout>(payloads, opened[begin + i], slots[i]);
      packed_bytes += sizes[begin + i];
    }
    for (const placed_payload& each : payloads) item_bytes += each.source.size();

    const std::vector<lading::bytes_span> received = link.received();
    stopwatch watch(told.rounds, progress);
    while (watch.another_round()) {
      link.wipe_source();
      watch.run(floor_to_slab, floor_to_slab, item_bytes, count, [&] { copy_payloads(payloads); });
      watch.run("validate the files", floor_to_slab, packed_bytes, count, [&] {
        for (std::size_t i = begin; i < end; ++i) opened[i] = expect(lading::unpack_from<layout>(objects[i].bytes()), "opening object", i);
      });
      link.wipe_source();
      watch.run("pack, transfer_queue", floor_to_slab, packed_bytes, count, pack);
      link.wipe_target();
      watch.run(floor_across, floor_across, packed_bytes, count, [&] { link.copy(); });
      link.wipe_target();
      watch.run("transfer, loopback put", floor_across, packed_bytes, count, [&] { link.transfer(); });
      std::vector<lading::unpacked> items;
      items.reserve(count);
      watch.run("validate", floor_across, packed_bytes, count, [&] {
        for (std::size_t i = 0; i < count; ++i) items.push_back(expect(lading::unpack_from<layout>(received[i]), "validating object", begin + i));
      });
      watch.run("compare with the files", floor_across, packed_bytes, count, [&] {
        for (std::size_t i = 0; i < count; ++i) {
          const lading::bytes_view sent = objects[begin + i].bytes();
          if (received[i].size() != sent.size() || std::memcmp(received[i].data(), sent.data(), sent.size()) != 0)
            not_what_was_sent(begin + i, "byte for byte");
        }
      });
    }
    watch.write_to(told);
    told.refusal = refusal_of_a_flipped_bit<layout>(largest_of(received), 0);  // in the item count: this layout has no checksum
    begin = end;
  }
}

void ship_transfer_queue(const arguments& given, report& told) {
  const std::vector<mapped_file> files = open_all(given.transfer_queue);
  told.cargo =
      names_of(given.transfer_queue) + ": " + std::to_string(files.size()) + (files.size() == 1 ? " TransferQueue object" : " TransferQueue objects");
  ship_packed(files, given.options, told);
}

}  // namespace demo
