// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <lading/exchange/detail/local_plan.hpp>
#include <lading/exchange/detail/slicing.hpp>
#include <lading/exchange/detail/stager.hpp>
#include <lading/exchange/metrics.hpp>
#include <lading/exchange/strategy.hpp>
#include <lading/exchange/submission.hpp>
#include <lading/exchange/submitter_options.hpp>
#include <lading/transport/concept.hpp>

namespace lading {

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
    if (auto sound = options.check(); !sound) return fail(sound.error());
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

  /// Starts to move the items. An item that the transport does not take, such as one outside its region, fails alone with that error; the others go.
  /// What is about no single item, such as a lost peer or would_block, is the end of all items of that peer.
  ///
  /// The two ends of an item must not overlap, as for a transport.
  /// With submit_options::notify everything goes by the transport, for copies are not announced; nor is a batch of which an item failed.
  /// Complexity: linear in the items, times the peers; a batch to one peer is one submit of the transport. Each item is checked alone only where that
  ///             refuses one.
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

  /// One group: the items of one peer.
  void start_group(detail::submission_state& state, std::span<const exchange_item> items, peer_id peer, op direction, const submit_options& options) {
    std::vector<std::size_t> mine;
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (items[i].peer != peer) continue;
      mine.push_back(i);
      bytes += items[i].where.size;
    }
    group_type group;
    group.begun = std::chrono::steady_clock::now();
    detail::local_plan plan(items, mine);
    const bool addressable = !options.notify && plan.find(*book_);
    const auto who = transport_->peer_identity(peer);
    group.how =
        who ? select_({.self = transport_->identity(), .peer = *who, .transport = transport_->name(), .bytes = bytes, .addressable = addressable})
            : strategy::transport;
    for (const std::size_t each : mine) state.strategies[each] = group.how;
    const auto refused = [&](std::size_t item, const error& why) { refuse(state, group, item, why); };
    if (group.how == strategy::transport) {
      start_transfer(state, group, items, std::move(mine), peer, direction, options);
    } else if (options.deadline.count() < 0) {
      for (const std::size_t each : mine) refused(each, error(errc::timed_out, {.what = "the deadline is negative: it was over before it began"}));
    } else if (addressable) {
      plan.carry_out(group, direction, std::min(options_.max_slice, detail::local_copying::largest_piece), refused);
      if (group.bytes <= options_.inline_limit) shared_->copying.advance(group, ~std::uint64_t{0});
      add_group(state, std::move(group));
    } else {
      const error why(errc::invalid_argument, {.what = "the selector chose local copies of memory that cannot be reached from here"});
      for (const std::size_t each : mine) refused(each, why);
    }
  }

  void start_transfer(detail::submission_state& state, group_type& group, std::span<const exchange_item> items, std::vector<std::size_t> mine,
                      peer_id peer, op direction, submit_options how) {
    if (how.deadline.count() == 0) how.deadline = options_.deadline;
    const std::size_t wanted = mine.size();
    for (bool checked = false;;) {
      detail::sliced_items sliced;
      std::erase_if(mine, [&](std::size_t index) { return !add(state, group, sliced, index, items[index].where, peer, direction); });
      if (mine.empty()) return;
      detail::stager staging(*transport_, *shared_->meter, shared_->staging, *book_, options_.stage_below, max_slice_);
      if (options_.stage_below != 0 && staging.stage(sliced, group.staged, direction)) group.closed.resize(sliced.slices.size());
      how.notify = how.notify && mine.size() == wanted;
      auto running = transport_->submit(peer, direction, sliced.slices, how);
      if (running) {
        group.running = std::move(*running);
        group.take(std::move(sliced));
        if (group.bytes <= detail::staging_buffer::size) {
          for (const remote_region_id each : group.staged.untried) shared_->staging.learn(each, group.running.ready());
        }
        return add_group(state, std::move(group));
      }
      for (auto& each : group.staged.buffers) shared_->staging.give(std::move(each), false);
      group.staged = {};
      const error why = running.error();
      const std::uint64_t named = why.details().item;  // a slice, where it is about one
      const std::size_t before = mine.size();
      if (named < sliced.slices.size() && before > 1 && !std::exchange(checked, true)) drop_refused(state, group, items, mine, peer, direction);
      if (mine.size() != before) continue;
      // What cannot be told apart by checking each alone ends with its neighbours.
      mine.clear();
      for (const auto& place : sliced.places) {
        const bool ends = named >= sliced.slices.size() || (place.first_slice <= named && named <= place.last_slice);
        ends ? refuse(state, group, place.item, why) : mine.push_back(place.item);
      }
    }
  }

  /// Adds an item's slices. False where it has been refused, because so large a slice does not end inside its regions: its pieces would be without bound.
  /// Where the transport cannot say, as of a peer that is lost, the item stays in one piece, and ends with what is said of that.
  [[nodiscard]] bool add(detail::submission_state& state, const group_type& group, detail::sliced_items& sliced, std::size_t index,
                         const slice& where, peer_id peer, op direction) {
    std::uint64_t largest = max_slice_;
    if (where.size > max_slice_) {
      slice last = where;
      last.local_offset += where.size - 1;
      last.remote_offset += where.size - 1;
      last.size = 1;
      const bool wraps = last.local_offset < where.local_offset || last.remote_offset < where.remote_offset;
      const auto fits = wraps ? result<void>(fail(errc::out_of_range, {.needed = where.size, .what = "the item reaches outside its region"}))
                              : check(last, peer, direction);
      if (!fits && is_about_the_slice(fits.error())) {
        refuse(state, group, index, fits.error());
        return false;
      }
      if (!fits) largest = where.size;
    }
    sliced.add(index, where, largest);
    return true;
  }

  /// Refuses the items that the transport does not take when they come alone.
  void drop_refused(detail::submission_state& state, const group_type& group, std::span<const exchange_item> items, std::vector<std::size_t>& mine,
                    peer_id peer, op direction) {
    std::erase_if(mine, [&](std::size_t index) {
      slice first = items[index].where;
      first.size = std::min(first.size, max_slice_);  // where it has more, its end has been checked
      const auto fits = check(first, peer, direction);
      if (fits || !is_about_the_slice(fits.error())) return false;
      refuse(state, group, index, fits.error());
      return true;
    });
  }

  /// Whether the transport takes the slice. What it says of anything else it will say again when it is asked to move it.
  [[nodiscard]] result<void> check(const slice& where, peer_id peer, op direction) {
    const auto checked = transport_->prepare(peer, direction, std::span(&where, 1));
    return checked ? result<void>{} : result<void>(fail(checked.error()));
  }
  [[nodiscard]] static bool is_about_the_slice(const error& why) noexcept { return why.details().item == 0; }

  static void add_group(detail::submission_state& state, group_type&& group) {
    state.groups.push_back(std::move(group));
    ++state.open;
  }
  void refuse(detail::submission_state& state, const group_type& group, std::size_t item, const error& why) const noexcept {
    state.results[item] = fail(why.with_item(item));
    shared_->meter->item_failed(group.how, why.code());
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
