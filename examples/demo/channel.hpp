// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstring>
#include <span>
#include <vector>

#include <lading/lading.hpp>
#include <lading/transports/loopback.hpp>

#include <support/problem.hpp>

namespace demo {

using support::expect;
using support::problem;

/// Two endpoints in this process, a registered slab at each, and one batch of slots in them at the same places.
class channel {
 public:
  channel(std::size_t slab_size, std::size_t workers)
      : near_(make(workers)),
        far_(make(workers)),
        peer_(expect(near_.connect(expect(far_.address(), "asking for an address")), "connecting")),
        source_(expect(near_.allocate_region(slab_size), "registering the sender's slab")),
        target_(expect(far_.allocate_region(slab_size), "registering the receiver's slab")),
        remote_(expect(near_.import_region(peer_, expect(far_.export_region(target_), "exporting the receiver's slab")),
                       "importing the receiver's slab")) {}

  /// The bytes that slots of these sizes take in a slab.
  [[nodiscard]] static std::size_t slab_size_for(std::span<const std::size_t> sizes) {
    std::size_t total = 0;
    for (const std::size_t size : sizes) total = lading::align_up<std::size_t>(total + size, alignment);
    return total;
  }

  /// Gives each size a slot in the sender's slab, one after another: an allocator for batch_encode_into.
  [[nodiscard]] std::vector<lading::bytes_span> slots(std::span<const std::size_t> sizes) {
    std::vector<lading::bytes_span> made;
    slices_.clear();
    std::size_t at = 0;
    for (const std::size_t size : sizes) {
      made.push_back(source_.bytes().subspan(at, size));
      slices_.push_back({source_.id(), remote_, at, at, size});
      at = lading::align_up<std::size_t>(at + size, alignment);
    }
    return made;
  }

  /// Moves all slots to the other side.
  void transfer() {
    auto running = near_.submit(peer_, lading::op::put, slices_);
    if (!running) throw problem("submitting the transfer: " + running.error().message());
    const lading::completion how = running->wait();
    if (!how.ok()) throw problem("transferring: " + how.status.error().message());
  }

  /// The floor of transfer().
  void copy() {
    for (const lading::slice& each : slices_) std::memcpy(target_.data() + each.remote_offset, source_.data() + each.local_offset, each.size);
  }

  /// Forgets what the slots hold, so that nothing is found there but what the next step writes.
  void wipe_source() {
    for (const lading::slice& each : slices_) std::memset(source_.data() + each.local_offset, 0xa5, each.size);
  }
  void wipe_target() {
    for (const lading::slice& each : slices_) std::memset(target_.data() + each.remote_offset, 0xa5, each.size);
  }

  /// The slots as the other side sees them.
  [[nodiscard]] std::vector<lading::bytes_span> received() {
    std::vector<lading::bytes_span> made;
    for (const lading::slice& each : slices_) made.push_back(target_.bytes().subspan(each.remote_offset, each.size));
    return made;
  }

 private:
  static constexpr std::size_t alignment = 64;

  static lading::loopback make(std::size_t workers) {
    lading::loopback_options options;
    options.workers = workers;
    return expect(lading::loopback::create(options), "making an endpoint");
  }

  lading::loopback near_, far_;
  lading::peer_id peer_;
  lading::region source_, target_;
  lading::remote_region_id remote_;
  std::vector<lading::slice> slices_;
};

}  // namespace demo
