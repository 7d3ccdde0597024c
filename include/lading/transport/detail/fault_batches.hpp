// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// fault_driver: what happens to a batch, from the draw to its report.

#include <lading/transport/detail/fault_driver.hpp>

namespace lading {

/// Decides what happens to a batch. Every batch draws as many numbers, so that one fault's rate does not move the others.
template <class Inner>
auto fault_driver<Inner>::draw(batch& slices) -> running {
  std::lock_guard held(random_mutex_);
  std::array<bool, fault_kinds> fires{};
  for (std::size_t kind = 1; kind < fault_kinds; ++kind) fires[kind] = random_below(fault_plan::always) < plan_.per_million[kind];
  const auto due = [&](fault kind) { return fires[static_cast<std::size_t>(kind)]; };
  const auto fire = [&](fault kind) {  // one that happens at once
    if (due(kind)) counts_.count(kind);
    return due(kind);
  };
  running fresh(slices.token());
  fresh.draw = next_random();
  fresh.peer = &static_cast<connection&>(slices.connection());
  if (fire(fault::peer_death)) {
    fresh.peer->dead = true;
    host_->lost(*fresh.peer, errc::peer_lost);
    return fresh;
  }
  if (fire(fault::stall)) fresh.peer->stalled_until = later(host_->now(), plan_.stall_time);
  if (fire(fault::loss)) {
    fresh.state = stage::lost;
    return fresh;
  }
  if (fire(fault::delay)) fresh.begin_at = later(host_->now(), plan_.hold_time);
  // Held back are never two in a row: they would wait for each other, and keep their order.
  if (due(fault::reorder) && held_back(*fresh.peer) == running_.end()) {
    fresh.state = stage::reordered;
    fresh.held_until = later(host_->now(), plan_.hold_time);
  }
  fresh.duplicate = due(fault::duplicate);
  // The faults that spoil bytes need bytes; they choose the last slice that has any.
  std::size_t victim = slices.size();
  while (victim != 0 && slices[victim - 1].size == 0) --victim;
  if (victim == 0) return fresh;
  fresh.victim = victim - 1;
  fresh.shorten = due(fault::short_write);
  fresh.pretend = !fresh.shorten && due(fault::false_completion);
  fresh.corrupt = !fresh.shorten && !fresh.pretend && due(fault::corruption);
  return fresh;
}

/// `begun` has begun: who was held back for such a one need not wait any more.
template <class Inner>
void fault_driver<Inner>::let_go(const running& begun) noexcept {
  const auto held = held_back(*begun.peer);
  if (held != running_.end() && held->number < begun.number) {
    held->state = stage::held;
    held->overtaken = true;
  }
}

/// Submits the batch, or what is to arrive of it, to the inner transport.
template <class Inner>
bool fault_driver<Inner>::begin(running& each) {
  batch slices(*each.token);
  std::vector<slice> inner;
  inner.reserve(slices.size() - each.first);
  for (std::size_t i = each.first; i < slices.size(); ++i) {
    const posted_slice one = slices[i];
    const bool cut = i == each.victim && (each.shorten || each.pretend);
    inner.push_back({static_cast<memory&>(*one.local.memory).inner.id(), static_cast<remote&>(*one.remote.key).inner, one.local_offset,
                     one.remote_offset, cut ? each.draw % one.size : one.size});
  }
  if (!submit(each, slices.direction(), inner)) return false;
  each.state = stage::moving;
  return true;
}

template <class Inner>
bool fault_driver<Inner>::submit(running& each, op direction, std::span<const slice> slices) {
  auto submitted = inner_->submit(each.peer->inner, direction, slices, {.deadline = std::chrono::nanoseconds::max()});  // the outer endpoint keeps it
  if (submitted) {
    each.inner = std::move(*submitted);
    return true;
  }
  if (submitted.error() != errc::would_block) each.failure = fail(submitted.error());
  return false;
}

/// Puts the flipped bit where it belongs: into local memory for a get, into the peer's for a put. Whether the batch is to be reported.
template <class Inner>
bool fault_driver<Inner>::flip(running& each) {
  batch slices(*each.token);
  if (each.scratch != no_scratch) {
    if (!over(each)) return false;
    free_scratch_.push_back(each.scratch);
    if (each.inner.how().ok()) {
      counts_.count(fault::corruption);
    } else {  // nobody knows which bit is there
      each.arrived[each.victim - each.first] = false;
      each.failure = each.inner.how().status;
    }
    return true;
  }
  if (each.token->given_up() != errc{}) return true;  // too late for the fault
  const posted_slice one = slices[each.victim];
  const std::uint64_t at = each.draw % one.size;
  const std::byte bit{static_cast<unsigned char>(1u << (each.draw >> 61))};
  std::byte& local = one.local.bytes[static_cast<std::size_t>(one.local_offset + at)];
  if (slices.direction() == op::get) {
    local ^= bit;
    counts_.count(fault::corruption);
    return true;
  }
  if (free_scratch_.empty()) return false;
  const std::size_t scratch = free_scratch_.back();
  scratch_.data()[scratch] = local ^ bit;
  const slice flipped{scratch_.id(), static_cast<remote&>(*one.remote.key).inner, scratch, one.remote_offset + at, 1};
  if (!submit(each, op::put, std::span(&flipped, 1))) return !each.failure;
  free_scratch_.pop_back();
  each.scratch = scratch;
  return false;
}

/// Whether the inner transport has ended the batch, and let go of its memory. Where it has not let go, its peer is lost, and this endpoint
/// is told, which then quarantines what the inner one does.
template <class Inner>
bool fault_driver<Inner>::over(running& each) noexcept {
  if (!each.inner.ready()) return false;
  if (each.inner.released()) return true;
  if (!std::exchange(each.told, true)) {
    const errc why = each.inner.how().status.error().code();
    host_->lost(*each.peer, why == errc::cancelled ? errc::peer_lost : why);
  }
  return false;
}

/// One step of one batch; whether it is to be reported.
template <class Inner>
bool fault_driver<Inner>::advance(running& each, std::chrono::nanoseconds at) noexcept {
  LADING_TRY {
    if (each.state == stage::dropped) return each.failure = fail(each.token->given_up()), true;
    if (each.peer->dead && !each.inner) return each.failure = fail(errc::peer_lost, {.what = "an injected fault"}), true;
    if (each.state == stage::lost || at < each.begin_at || (each.peer->stalled_until > at && each.state != stage::notifying)) return false;
    if (each.state == stage::reordered && at < each.held_until) return false;
    if (!each.inner) {
      if (!begin(each)) return !each.failure;
      if (each.overtaken) counts_.count(fault::reorder);
      let_go(each);
      return false;
    }
    if (each.state == stage::flipping) return flip(each);
    if (!over(each)) return false;
    if (each.state == stage::notifying) return true;
    if (each.inner.how().ok() && each.duplicate) {
      each.duplicate = false;
      if (begin(each)) counts_.count(fault::duplicate);  // otherwise the first copy stands
      return !each.failure;
    }
    note_arrived(each);
    if (!each.corrupt || !each.inner.how().ok()) return true;
    each.state = stage::flipping;
    return flip(each);
  }
  LADING_CATCH_BAD_ALLOC(each.failure = fail(errc::no_memory); return true)
}

template <class Inner>
void fault_driver<Inner>::note_arrived(running& each) {
  const std::size_t count = each.token->slice_count() - each.first;
  each.arrived.assign(count, false);
  for (std::size_t i = 0; i < count; ++i) each.arrived[i] = each.inner.succeeded(i);
  if (!each.inner.how().ok()) each.failure = each.inner.how().status;
  if ((!each.shorten && !each.pretend) || !each.arrived[each.victim - each.first]) return;
  counts_.count(each.shorten ? fault::short_write : fault::false_completion);
  if (each.pretend) return;
  each.arrived[each.victim - each.first] = false;
  if (each.inner.how().ok()) each.failure = fail(errc::backend_failure, {.what = "an injected fault: a slice arrived in part"});
}

template <class Inner>
void fault_driver<Inner>::report(running& ended) noexcept {
  operation& token = *ended.token;
  const errc given_up = token.given_up();
  if (ended.state == stage::notifying)
    return token.notified(ended.inner.how().ok() || given_up == errc{} ? ended.inner.how().status : fail(given_up));
  if (!ended.failure && ended.failure.error() == errc::cancelled && given_up != errc{}) ended.failure = fail(given_up);
  const std::size_t count = token.slice_count() - ended.first;
  if (ended.arrived.empty()) return token.failed(ended.first, count, ended.failure ? error(errc::backend_failure) : ended.failure.error());
  std::uint64_t bytes = 0;
  std::size_t done = 0, lost = 0;
  batch slices(token);
  for (std::size_t i = 0; i < count; ++i) {
    if (ended.arrived[i]) {
      ++done;
      bytes += slices[ended.first + i].size;
    } else {
      ++lost;
    }
  }
  // Whatever is reported last ends the operation, so that nothing may follow it.
  for (std::size_t i = 0; i < count && lost != 0; ++i) {
    if (ended.arrived[i]) continue;
    --lost;
    token.failed(ended.first + i, 1, ended.failure ? error(errc::backend_failure) : ended.failure.error());
  }
  if (done != 0) token.succeeded(done, bytes);
}

}  // namespace lading
