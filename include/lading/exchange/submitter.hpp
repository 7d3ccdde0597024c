// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <lading/exchange/metrics.hpp>
#include <lading/exchange/strategy.hpp>
#include <lading/exchange/submission.hpp>
#include <lading/transport/concept.hpp>
#include <lading/transport/time_source.hpp>

namespace lading {

/// A slice and the peer that it goes to or comes from.
struct exchange_item {
  peer_id peer{};
  slice where;
};

/// How a submitter groups and moves.
struct submitter_options {
  std::uint64_t max_slice = std::uint64_t{64} << 20;  ///< larger ones are split, so that a deadline or a lost peer costs no more than this much again
  std::uint64_t stage_below =
      0;  ///< bytes of a slice below which several, that follow each other at the peer, go as one through memory of the submitter's
  std::uint64_t inline_limit = std::uint64_t{1} << 20;  ///< bytes of local copies up to which submit makes them itself
  std::size_t copy_workers = 2;                         ///< threads that share larger local copies, the one that waits included
  worker_pool* pool = nullptr;                          ///< whose threads these are; null = worker_pool::shared()
  std::chrono::nanoseconds deadline{0};                 ///< of a submission that names none; 0 = the endpoint's
  std::chrono::nanoseconds close_limit =
      std::chrono::seconds(1);  ///< how long destroying it, or a submission that outlived it, waits for the transport to let go of what is kept
};

/// Moves items to and from peers, each group by the strategy that the selector chooses, as one future with a result for each item.
///
/// Adjacent slices that follow each other are moved as one, large ones in pieces, tiny ones that follow each other at the peer staged in one; the results are
/// those of the items as they were given.
/// Lifetime: the transport and the meter must outlive it and its submissions; these may outlive it. Destroying it ends what dropped submissions left
///           behind. What these keep, and the transport has not let go of within submitter_options::close_limit, is never freed: it may yet be
///           written.
/// Threads:  any.
template <class Transport, class Selector = select_by_process, class Meter = exchange_meter<>>
class basic_submitter {
 public:
  static_assert(transport<Transport>, "lading: a submitter needs a transport: see lading/transport/concept.hpp");
  static_assert(strategy_selector<Selector>, "lading: a selector is called with a route and returns a strategy, noexcept");
  using future = submission<Meter>;

  /// Errors: invalid_argument for options that make no sense.
  [[nodiscard]] static result<basic_submitter> create(Transport& transport, Meter& meter, const submitter_options& options = {},
                                                      Selector select = {}) {
    if (options.max_slice == 0) return fail(errc::invalid_argument, {.needed = 1, .available = 0, .what = "max_slice is at least one byte"});
    if (options.stage_below > detail::staging_buffer::size / 2) {
      return fail(
          errc::invalid_argument,
          {.needed = options.stage_below, .available = detail::staging_buffer::size / 2, .what = "slices that are staged are smaller than this"});
    }
    if (options.copy_workers == 0) return fail(errc::invalid_argument, {.needed = 1, .available = 0, .what = "copy_workers counts the caller"});
    if (options.deadline.count() < 0 || options.close_limit.count() < 0) {
      return fail(errc::invalid_argument, {.what = "a deadline or limit is not negative"});
    }
    return basic_submitter(transport, meter, options, std::move(select));
  }
  basic_submitter(basic_submitter&&) noexcept = default;
  basic_submitter& operator=(basic_submitter&&) noexcept = delete;
  ~basic_submitter() {
    if (shared_ == nullptr) return;
    auto dropped = shared_->orphans.close();
    future::end(dropped, *shared_);
  }

  /// Makes a region addressable for peers.
  ///
  /// Errors: as export_region of the transport.
  [[nodiscard]] result<shared_region> share(const region& owned) {
    auto descriptor = transport_->export_region(owned);
    if (!descriptor) return fail(descriptor.error());
    shared_region made;
    made.book_ = book_;
    made.descriptor_ = std::move(*descriptor);
    made.id_ = owned.id();
    auto memory = std::make_shared<detail::reachable_memory>(owned.bytes());
    detail::reachable_regions::instance().add(made.descriptor_, memory);
    made.memory_ = memory;  // from here on it is undone
    book_->add(detail::address_book::key(owned.id()), std::move(memory));
    return made;
  }

  /// Makes a peer's region addressable from here.
  ///
  /// Errors: as import_region of the transport.
  [[nodiscard]] result<remote_region_id> import_region(peer_id peer, bytes_view descriptor) {
    auto id = transport_->import_region(peer, descriptor);
    if (!id) return id;
    const auto who = transport_->peer_identity(peer);
    if (who && who->process == transport_->identity().process) {
      if (auto memory = detail::reachable_regions::instance().find(descriptor); memory != nullptr) {
        book_->add(detail::address_book::key(*id), std::move(memory));
      }
    }
    return id;
  }

  /// The inverse of import_region. Errors: as release_region of the transport.
  result<void> release_region(remote_region_id imported) noexcept {
    auto released = transport_->release_region(imported);
    if (released) book_->remove(detail::address_book::key(imported));
    if (released) shared_->staging.forget(imported);
    return released;
  }

  /// Starts to move the items. What the transport refuses, and only that, ends with its error at once.
  ///
  /// Complexity: linear; a batch to one peer is one submit of the transport.
  [[nodiscard]] future submit(std::span<const exchange_item> items, op direction, const submit_options& options = {}) {
    reap();
    auto state = std::make_unique<detail::submission_state>();
    state->results.resize(items.size());
    state->strategies.resize(items.size(), strategy::transport);
    std::vector<peer_id> peers;  // in the order in which they first appear
    for (const exchange_item& each : items) {
      if (std::find(peers.begin(), peers.end(), each.peer) == peers.end()) peers.push_back(each.peer);
    }
    state->groups.reserve(peers.size());
    for (const peer_id peer : peers) start_group(*state, items, peer, direction, options);
    future made(std::move(state), shared_);
    future::settle(*made.state_, *shared_);  // what has ended already; starts no copies
    return made;
  }

  /// Moves on what dropped submissions left behind. For those who drive the transport themselves; submit does it as well.
  void reap() noexcept {
    for (auto& each : shared_->orphans.take()) {
      if (!future::advance(*each, *shared_) || !future::is_released(*each)) static_cast<void>(shared_->orphans.adopt(each));
    }
  }

  /// Whether no memory is with the transport beyond the end of its transfer.
  [[nodiscard]] bool quiescent() const noexcept {
    const transport_metrics seen = transport_->metrics();
    return seen.quarantined == seen.released;
  }

  [[nodiscard]] Meter& meter() const noexcept { return *shared_->meter; }

 private:
  using group_type = detail::submitted_group;

  basic_submitter(Transport& transport, Meter& meter, const submitter_options& options, Selector select)
      : transport_(&transport),
        options_(options),
        select_(std::move(select)),
        max_slice_(std::min(options.max_slice, transport.capabilities().max_slice_size)),
        book_(std::make_shared<detail::address_book>()),
        shared_(std::make_shared<typename future::shared_part>()) {
    shared_->copying.workers = options.copy_workers;
    if (options.copy_workers > 1) shared_->copying.pool = options.pool != nullptr ? options.pool : &worker_pool::shared();
    shared_->meter = &meter;
    shared_->transport = &transport;
    shared_->progress = [](void* used) { return std::size_t{static_cast<Transport*>(used)->progress()}; };
    shared_->close_limit = options.close_limit;
  }

  void start_group(detail::submission_state& state, std::span<const exchange_item> items, peer_id peer, op direction, const submit_options& options) {
    group_type group;
    std::vector<slice> slices;
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (items[i].peer == peer) add(group, slices, i, items[i].where);
    }
    group.begun = std::chrono::steady_clock::now();
    const bool addressable = find_copies(group, slices, direction);
    const auto who = transport_->peer_identity(peer);
    const strategy chosen =
        who ? select_(
                  {.self = transport_->identity(), .peer = *who, .transport = transport_->name(), .bytes = group.bytes, .addressable = addressable})
            : strategy::transport;
    group.how = chosen;
    for (const auto& place : group.places) state.strategies[place.item] = chosen;
    if (chosen == strategy::local) {
      if (!addressable) {
        return refuse(state, group,
                      error(errc::invalid_argument, {.what = "the selector chose local copies of memory that cannot be reached from here"}));
      }
      group.closed.resize(group.copies.size());
      if (group.bytes <= options_.inline_limit) shared_->copying.advance(group, ~std::uint64_t{0});
    } else {
      group.copies.clear();
      group.memories.clear();
      if (options_.stage_below != 0) stage_tiny(group, slices, direction);
      submit_options how = options;
      if (how.deadline.count() == 0) how.deadline = options_.deadline;
      auto running = transport_->submit(peer, direction, slices, how);
      if (!running) {
        for (auto& each : group.staged.buffers) shared_->staging.give(std::move(each), false);
        return refuse(state, group, running.error());
      }
      group.running = std::move(*running);
      if (group.bytes <= detail::staging_buffer::size) {
        for (const remote_region_id each : group.staged.untried) shared_->staging.learn(each, group.running.ready());
      }
    }
    state.groups.push_back(std::move(group));
    ++state.open;
  }

  /// Adds an item's slice: to the last one where it follows that on both sides, and in pieces where it is large.
  void add(group_type& group, std::vector<slice>& slices, std::size_t item, slice rest) const {
    group.bytes += rest.size;
    if (!slices.empty()) {
      slice& last = slices.back();
      const bool follows = last.local == rest.local && last.remote == rest.remote && last.local_offset + last.size == rest.local_offset &&
                           last.remote_offset + last.size == rest.remote_offset;
      if (follows && rest.size <= max_slice_ - std::min(last.size, max_slice_)) {
        last.size += rest.size;
        group.places.push_back({item, slices.size() - 1, slices.size() - 1});
        return;
      }
    }
    const std::size_t first = slices.size();
    while (rest.size > max_slice_) {
      slice piece = rest;
      piece.size = max_slice_;
      slices.push_back(piece);
      rest.local_offset += max_slice_;
      rest.remote_offset += max_slice_;
      rest.size -= max_slice_;
    }
    slices.push_back(rest);
    group.places.push_back({item, first, slices.size() - 1});
  }

  /// Fills in the copies that would move the slices; false where some memory cannot be reached, or not that far.
  [[nodiscard]] bool find_copies(group_type& group, std::span<const slice> slices, op direction) const {
    region_id last_local{};
    remote_region_id last_remote{};
    std::shared_ptr<detail::reachable_memory> local, remote;
    const auto look_up = [&](auto id, auto& last, auto& memory) {
      if (memory != nullptr && last == id) return true;
      last = id;
      memory = book_->find(detail::address_book::key(id));
      if (memory != nullptr) group.memories.push_back(memory);
      return memory != nullptr;
    };
    group.copies.reserve(slices.size());
    for (const slice& each : slices) {
      if (!look_up(each.local, last_local, local) || !look_up(each.remote, last_remote, remote)) return false;
      if (!range_inside<std::uint64_t, std::uint64_t, std::uint64_t>(each.local_offset, each.size, local->bytes().size()) ||
          !range_inside<std::uint64_t, std::uint64_t, std::uint64_t>(each.remote_offset, each.size, remote->bytes().size())) {
        return false;  // the transport will say so
      }
      if (direction == op::put) {
        group.copies.push_back({remote.get(), local.get(), each.remote_offset, each.local_offset, each.size});
      } else {
        group.copies.push_back({local.get(), remote.get(), each.local_offset, each.remote_offset, each.size});
      }
    }
    return true;
  }

  /// Replaces each run of tiny slices that follow each other at the peer by one, of a buffer.
  void stage_tiny(group_type& group, std::vector<slice>& slices, op direction) {
    std::vector<slice> fewer;         // empty until there is a run
    std::vector<std::size_t> now_at;  // where in `fewer` each slice is
    remote_region_id last{};
    auto way = detail::staging_area::way::unknown;
    for (std::size_t i = 0; i < slices.size();) {
      const std::size_t end = std::max(run_of_tiny(slices, i), i + 1);
      if (end - i > 1 && slices[i].remote != last) {
        last = slices[i].remote;
        way = shared_->staging.way_of(last);
        if (way == detail::staging_area::way::unknown) group.staged.untried.push_back(last);
      }
      const bool tried = end - i > 1 && way == detail::staging_area::way::by_messages;
      if (tried && now_at.empty()) {
        fewer.assign(slices.begin(), slices.begin() + static_cast<std::ptrdiff_t>(i));
        now_at.resize(slices.size());
        for (std::size_t before = 0; before < i; ++before) now_at[before] = before;
      }
      const bool staged = tried && stage_run(group, std::span(slices).subspan(i, end - i), direction, fewer);
      for (; i < end; ++i) {
        if (now_at.empty()) continue;
        if (!staged) fewer.push_back(slices[i]);
        now_at[i] = fewer.size() - 1;
      }
    }
    if (now_at.empty()) return;
    for (auto& place : group.places) {
      place.first_slice = now_at[place.first_slice];
      place.last_slice = now_at[place.last_slice];
    }
    slices = std::move(fewer);
    group.closed.resize(slices.size());
  }

  /// The end of the tiny slices from `first` on that follow each other at the peer.
  [[nodiscard]] std::size_t run_of_tiny(std::span<const slice> slices, std::size_t first) const noexcept {
    std::uint64_t bytes = 0;
    std::size_t end = first;
    for (; end < slices.size(); ++end) {
      const slice& each = slices[end];
      if (each.size >= options_.stage_below || each.size == 0 ||
          bytes + each.size > std::min<std::uint64_t>(detail::staging_buffer::size, max_slice_))
        break;
      if (end != first && (each.remote != slices[first].remote || each.remote_offset != slices[end - 1].remote_offset + slices[end - 1].size)) break;
      bytes += each.size;
    }
    return end;
  }

  /// The memory of a region of this side's; null where it is not known here.
  [[nodiscard]] detail::reachable_memory* staged_memory(detail::staged_slices& staged, region_id id) const {
    auto& known = staged.memories;
    if (known.empty() || known.back().first != id) {
      auto found = book_->find(detail::address_book::key(id));
      if (found == nullptr) return nullptr;
      known.push_back({id, std::move(found)});
    }
    return known.back().second.get();
  }

  /// Adds one slice of a buffer in their place; false where their memory is not known here, or there is no buffer.
  [[nodiscard]] bool stage_run(group_type& group, std::span<const slice> run, op direction, std::vector<slice>& fewer) {
    detail::staged_slices& staged = group.staged;
    std::uint64_t bytes = 0;
    for (const slice& each : run) {
      detail::reachable_memory* const memory = staged_memory(staged, each.local);
      if (memory == nullptr || !range_inside<std::uint64_t, std::uint64_t, std::uint64_t>(each.local_offset, each.size, memory->bytes().size())) {
        return false;  // the transport will say so
      }
      bytes += each.size;
    }
    if (staged.buffers.empty() || staged.buffers.back()->used + bytes > detail::staging_buffer::size) {
      auto fresh = shared_->staging.take([&] { return quiescent(); }, [&](std::size_t size) { return transport_->allocate_region(size); });
      if (fresh == nullptr) return false;
      staged.buffers.push_back(std::move(fresh));
    }
    detail::staging_buffer& into = *staged.buffers.back();
    std::byte* at = into.memory.data() + into.used;
    if (direction == op::put) {
      const stage_timer timer(*shared_->meter, stage::pack, strategy::transport, bytes);
      for (std::size_t i = 0; i < run.size(); at += run[i++].size) {
        detail::reachable_memory* const memory = staged_memory(staged, run[i].local);
        if (memory == nullptr || !memory->enter()) return false;  // just now closed
        std::memcpy(at, memory->bytes().data() + run[i].local_offset, static_cast<std::size_t>(run[i].size));
        memory->leave();
      }
    } else {
      const std::size_t before = staged.landings.size();
      for (std::size_t i = 0; i < run.size(); at += run[i++].size) {
        detail::reachable_memory* const memory = staged_memory(staged, run[i].local);
        if (memory == nullptr) {
          staged.landings.resize(before);
          return false;
        }
        staged.landings.push_back({memory, run[i].local_offset, run[i].size, at, fewer.size()});
      }
    }
    fewer.push_back({into.memory.id(), run[0].remote, into.used, run[0].remote_offset, bytes});
    into.used += bytes;
    staged.count += run.size();
    staged.bytes += bytes;
    return true;
  }

  static void refuse(detail::submission_state& state, const group_type& group, const error& why) noexcept {
    for (const auto& place : group.places) state.results[place.item] = fail(why.with_item(place.item));
  }

  Transport* transport_;
  submitter_options options_;
  [[no_unique_address]] Selector select_;
  std::uint64_t max_slice_;
  std::shared_ptr<detail::address_book> book_;
  std::shared_ptr<typename future::shared_part> shared_;
};

template <transport Transport>
using submitter = basic_submitter<Transport>;

}  // namespace lading
