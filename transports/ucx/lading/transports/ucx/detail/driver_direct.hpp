// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// ucx_driver: regions that peers of this host share. Slices of those are copied here and now, and the peer need not make progress.

#include <lading/memory/copy.hpp>
#include <lading/transports/ucx/driver.hpp>

namespace lading::detail {

inline result<driver_allocation> ucx_driver::allocate(std::size_t size) {
  if (shares_ && host_number_ != 0) {
    auto memory = shared_memory::create(size, host_->incoming()->identity.endpoint);
    if (!memory) return fail(memory.error());
    if (*memory != nullptr) {
      const bytes_span bytes = (*memory)->bytes();
      auto registered = map(bytes, memory_kind::host_shared);
      if (!registered) return fail(registered.error());
      (*memory)->registration = std::move(*registered);
      return driver_allocation{bytes, memory_kind::host_shared, std::move(*memory)};
    }
  }
  return driver::allocate(size);
}

inline result<std::vector<std::byte>> ucx_driver::export_key(const local_region& exported) {
  if (exported.kind != memory_kind::host_shared) return std::vector<std::byte>{};
  return static_cast<const shared_memory&>(*exported.memory).key().encode();
}

/// A region that cannot be mapped here, or whose owner's end would not be noticed, is reached by messages.
inline result<std::unique_ptr<driver_remote>> ucx_driver::import_key(driver_connection& peer, const region_descriptor& region) {
  auto made = std::make_unique<ucx_remote>();
  made->region = static_cast<std::uint32_t>(region.id);
  made->generation = region.generation;
  const ucx_wire* const wire = static_cast<ucx_connection&>(peer).wire;
  if (shares_ && wire != nullptr && wire->pid != 0 && (wire->same_process || wire->process.active()))
    made->shared = shared_view::open(wire->pid, shared_key::decode(region.key), region.endpoint, region.size);
  return made;
}

/// Tells peers that map this side's regions that those end.
inline void ucx_driver::revoke_all() noexcept {
  incoming_side& side = *host_->incoming();
  side.regions.for_each(
      [](std::uint32_t, local_region& each) {
        if (each.kind == memory_kind::host_shared) static_cast<shared_memory&>(*each.memory).revoke(shared_head::condition::closed);
      },
      [&](std::unique_ptr<local_region> last) { side.dead.bury(std::move(last)); });
}

/// Whether the owner of shared regions is there; its memory would not tell.
inline bool ucx_driver::owner_lives(ucx_wire& wire, const batch& slices) noexcept {
  constexpr auto recently = std::chrono::microseconds(20);
  if (!wire.process.active()) return true;
  if (unclocked_ > clock_bytes) read_clock();
  const auto now = std::max(slices.submitted(), now_);  // posted by submit, or by progress
  if (now - wire.seen_alive < recently) return true;
  wire.seen_alive = now;
  if (!wire.process.ended()) return true;
  doom(wire, errc::peer_lost);
  return false;
}

/// Ends the round when it has taken its time.
inline void ucx_driver::watch_round(const batch& slices) noexcept {
  read_clock();
  if (round_began_ == unbegun) round_began_ = now_;
  if (now_ - std::max(round_began_, slices.submitted()) >= round_time) round_left_ = 0;
}

/// Copies slices from `first` on, up to `end` or one of another region, as far as the round and the batch's turn go; returns how many are done with.
///
/// A slice counts as arrived when its region was still registered after it was copied.
inline std::size_t ucx_driver::copy_shared(ucx_wire& wire, batch& slices, std::size_t first, std::size_t end, direct_share& share) noexcept {
  const posted_slice front = slices[first];
  const shared_view& view = static_cast<const ucx_remote&>(*front.remote.key).shared;
  operation& token = slices.token();
  const bool put = slices.direction() == op::put;
  const slice& handles = slices.raw(first);
  std::byte* const local = front.local.bytes.data();
  std::byte* const remote = view.data();
  std::size_t next = first;
  std::uint64_t bytes = 0;
  auto state = view.state();
  while (state == shared_head::condition::live && next < end && round_left_ != 0 && share.left != 0) {
    const slice& each = slices.raw(next);
    if (each.local != handles.local || each.remote != handles.remote) break;
    const std::uint64_t before = std::exchange(token.user_number, 0);  // copied of this slice already
    const std::uint64_t size = std::min({each.size - before, round_left_, share.left, clock_bytes});
    std::byte* const here = local + each.local_offset + before;
    std::byte* const there = remote + each.remote_offset + before;
    const auto mode = share.streaming && each.size >= streaming_slice ? copy_mode::streaming : copy_mode::cached;
    copy_bytes(put ? there : here, put ? here : there, static_cast<std::size_t>(size), mode);
    round_left_ -= size;
    share.left -= size;
    share.moved = true;
    unclocked_ += size;
    if (unclocked_ >= clock_bytes) watch_round(slices);
    if (before + size < each.size) {
      token.user_number = before + size;
      continue;
    }
    bytes += each.size;
    ++next;
  }
  if (bytes > clock_bytes) unclocked_ = bytes;  // what comes after it looks at the clock anew
  state = view.state();
  if (state == shared_head::condition::live) {
    share.count += next - first;
    share.bytes += bytes;
    return next - first;
  }
  if (state != shared_head::condition::deregistered) {
    doom(wire, errc::peer_lost);
    if (next == first) return 0;
  }
  const std::size_t refused = std::max<std::size_t>(next - first, 1);
  token.user_number = 0;
  token.failed(first, refused,
               state == shared_head::condition::deregistered
                   ? error(errc::not_registered, {.what = "its owner has deregistered the region: import its new descriptor"})
                   : error(errc::peer_lost, {.what = "the peer has closed its endpoint"}));
  return refused;
}

}  // namespace lading::detail
