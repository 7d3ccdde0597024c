// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <lading/core/checked.hpp>
#include <lading/core/config.hpp>
#include <lading/exchange/detail/crew.hpp>
#include <lading/exchange/detail/late_memory.hpp>
#include <lading/exchange/detail/mailroom.hpp>
#include <lading/exchange/detail/retry.hpp>
#include <lading/exchange/detail/value_checksum.hpp>
#include <lading/exchange/detail/value_index.hpp>
#include <lading/exchange/protocol.hpp>
#include <lading/exchange/server_options.hpp>
#include <lading/exchange/slab.hpp>
#include <lading/exchange/submitter.hpp>
#include <lading/memory/worker_pool.hpp>
#include <lading/transport/time_source.hpp>

namespace lading::detail {

/// The way of values into a store: fetched from the client's memory, verified, and only then published.
///
/// Threads: one at a time.
template <class Transport, class Submitter>
class intake {
 public:
  using mail_type = mailroom<Transport, Submitter>;
  using client_ptr = std::shared_ptr<typename mail_type::session>;

  intake(Submitter& submitter, slab_pool<Submitter>& slabs, value_index& index, mail_type& mail, const store_server_options& options) noexcept
      : submitter_(submitter), slabs_(slabs), index_(index), mail_(mail), options_(options) {}

  /// Sets memory aside for each value and starts to fetch them, all in one submission.
  void start(const client_ptr& client, std::size_t slot, const protocol::put_request& request) {
    auto job = std::make_shared<put_job>();
    job->client = client;
    job->slot = slot;
    job->mode = request.mode;
    job->codes.codes.reserve(request.entries.size());
    jobs_.reserve(jobs_.size() + 1);  // nothing fails once the bytes move
    late_.reserve(late_.size() + jobs_.size() + 1);
    const bool trusted = late_bytes_of(client->endpoint) <= slabs_.capacity() / late_share;
    std::vector<result<remote_region_id>> regions;
    regions.reserve(request.regions.size());
    for (const bytes_view descriptor : request.regions) regions.push_back(mail_.import_for(*client, descriptor, options_.max_imports));
    std::vector<exchange_item> items;
    for (const protocol::put_entry& entry : request.entries) {
      incoming_value& value = job->values.emplace_back();
      value.key = entry.key;
      value.first_item = value.last_item = items.size();
      const auto accepted = trusted ? accept(entry, *job, regions, value, items) : result<void>(fail(errc::busy));
      if (!accepted) value.code = static_cast<std::uint16_t>(accepted.error().code());
      value.last_item = items.size();
    }
    std::uint64_t bytes = 0;
    for (const exchange_item& each : items) bytes += each.where.size;  // of the slabs, no more than these have
    job->moving = submitter_.submit(items, op::get, {.deadline = later(options_.transfer_time, time_for(bytes))});
    ++client->jobs;
    jobs_.push_back(std::move(job));
  }

  /// Publishes what has arrived whole, and answers; returns of how many requests.
  std::size_t finish_some() {
    std::size_t finished = 0;
    for (std::size_t i = 0; i < jobs_.size();) {
      if (!jobs_[i]->moving.is_ready()) {
        ++i;
        continue;
      }
      const std::shared_ptr<put_job> job = std::move(jobs_[i]);
      jobs_.erase(jobs_.begin() + static_cast<std::ptrdiff_t>(i));
      finish(job);
      ++finished;
    }
    return finished;
  }

 private:
  /// One value on its way in.
  struct incoming_value {
    std::string key;
    std::shared_ptr<stored_value> value;
    std::uint16_t code = 0;
    std::size_t first_item = 0, last_item = 0;  // of the submission
  };
  /// A request for puts whose bytes are on their way.
  struct put_job {
    client_ptr client;
    std::size_t slot = 0;
    put_mode mode = put_mode::insert;
    std::vector<incoming_value> values;
    protocol::codes_answer codes;
    typename Submitter::future moving;
    std::shared_ptr<put_job> itself;
  };
  static constexpr std::uint64_t shared_from = std::uint64_t{256} << 10;  // bytes of a request for whose verification a thread is worth waking
  static constexpr std::uint64_t late_share = 8;  // of the capacity: what the transport may hold of one client's before its puts are put off

  /// Bytes that the transport may still write, although the puts of that endpoint which they were for have ended.
  [[nodiscard]] std::uint64_t late_bytes_of(std::uint64_t endpoint) noexcept {
    std::erase_if(late_, [](const auto& each) { return each.expired(); });
    std::uint64_t sum = 0;
    for (const auto& each : late_) {
      const auto job = each.lock();
      if (job->client->endpoint != endpoint) continue;
      for (const incoming_value& value : job->values) sum += value.value != nullptr ? value.value->meta.size : 0;
    }
    return sum;
  }

  [[nodiscard]] result<void> accept(const protocol::put_entry& entry, const put_job& job, const std::vector<result<remote_region_id>>& regions,
                                    incoming_value& value, std::vector<exchange_item>& items) {
    if (entry.key.size() > options_.max_key) return fail(errc::invalid_argument);
    if (!plausible(entry.meta) || !protocol::covers(entry.from, regions.size(), entry.meta.size)) return fail(errc::invalid_argument);
    if (job.mode == put_mode::insert && index_.contains(entry.key)) return fail(errc::already_exists);
    const bool full = options_.evict == eviction::none && !index_.has_room(entry.key, entry.meta);
    if (full || !index_.can_hold(entry.key, entry.meta)) return fail(errc::no_space);
    for (const protocol::extent& each : entry.from) {
      if (!regions[each.region]) return fail(regions[each.region].error());
    }
    auto lease = slabs_.take(entry.meta.size);
    if (!lease && options_.evict == eviction::lru && can_fit(entry.meta.size)) {
      while (!lease && index_.evict()) lease = slabs_.take(entry.meta.size);
    }
    if (!lease && options_.evict == eviction::lru && is_possible(entry.meta.size) && are_on_their_way(job)) return fail(errc::busy);
    if (!lease) return fail(lease.error());
    value.value = std::make_shared<stored_value>(stored_value{entry.meta, std::move(*lease)});
    std::size_t from = 0;
    std::uint64_t used = 0;  // of the client's extent
    for (const slab_extent& to : value.value->lease.extents()) {
      for (std::uint64_t filled = 0; filled < to.size;) {
        const protocol::extent& source = entry.from[from];
        const std::uint64_t size = std::min(to.size - filled, source.size - used);
        items.push_back({job.client->peer, {slabs_.region_of(to.slab), *regions[source.region], to.offset + filled, source.offset + used, size}});
        filled += size;
        used += size;
        if (used == source.size) {
          ++from;
          used = 0;
        }
      }
    }
    return {};
  }

  /// Whether an empty store could hold so much.
  [[nodiscard]] bool is_possible(std::uint64_t size) const noexcept {
    return size <= std::min<std::uint64_t>(slabs_.capacity(), options_.memory.max_extents * slabs_.largest());
  }
  /// Whether values are on their way in, with room of their own: once they are published they can be evicted.
  [[nodiscard]] bool are_on_their_way(const put_job& job) const noexcept {
    const auto has_room = [](const incoming_value& each) { return each.value != nullptr && each.value->meta.size != 0; };
    const auto moves = [&](const put_job& one) { return std::any_of(one.values.begin(), one.values.end(), has_room); };
    return moves(job) || std::any_of(jobs_.begin(), jobs_.end(), [&](const auto& each) { return moves(*each); });
  }

  /// Whether evicting can make room, in no more pieces than a value may be: for what cannot fit nothing is evicted.
  ///
  /// Complexity: as many values as are to be evicted, mostly; n log n for the values and the holes where many must be joined.
  [[nodiscard]] bool can_fit(std::uint64_t size) const {
    if (!is_possible(size)) return false;
    const std::uint64_t needed = align_up<std::uint64_t>(size, slab_core::alignment), free = slabs_.free_bytes();
    std::vector<slab_extent> evicted;
    std::uint64_t bytes = 0, looked = 0;
    bool fits = false;
    index_.each_evictable([&](const std::string&, const stored_value& value) {
      for (const slab_extent& each : value.lease.extents()) {
        evicted.push_back(each);
        bytes += align_up<std::uint64_t>(each.size, slab_core::alignment);
      }
      fits = bytes >= needed && evicted.size() <= options_.memory.max_extents;
      if (!fits && bytes >= needed && bytes > 4 * looked) {  // not after each of them
        looked = bytes;
        fits = slabs_.would_fit(needed, evicted);
      }
      return !fits;
    });
    return fits || (needed <= free + bytes && slabs_.would_fit(needed, evicted));
  }

  void finish(const std::shared_ptr<put_job>& ended) {
    put_job& job = *ended;
    typename Submitter::future moving = std::move(job.moving);
    const std::vector<result<void>>& arrived = moving.get();
    if (moving.quarantined()) {
      keep_while_moving(moving, ended);
      late_.push_back(ended);  // has room
    }
    std::uint64_t bytes = 0;
    for (const incoming_value& value : job.values) bytes += value.code == 0 ? value.value->meta.size : 0;
    const crew threads{options_.pool, bytes < shared_from ? 1 : options_.serial_workers};
    const auto check = [&](std::size_t index) noexcept {
      incoming_value& value = job.values[index];
      for (std::size_t item = value.first_item; item < value.last_item && value.code == 0; ++item) {
        if (!arrived[item]) value.code = static_cast<std::uint16_t>(arrived[item].error().code());
      }
      if (value.code == 0 && !is_whole(*value.value, threads)) value.code = static_cast<std::uint16_t>(errc::checksum_mismatch);
    };
    threads.run(job.values.size(), check);
    for (incoming_value& value : job.values) {
      if (value.code == 0) {
        if (const auto published = publish(value, job.mode); !published) value.code = static_cast<std::uint16_t>(published.error().code());
      }
      value.code == 0 ? submitter_.meter().succeeded() : submitter_.meter().failed(errc{value.code});
      job.codes.codes.push_back(value.code);
    }
    --job.client->jobs;
    mail_.answer(*job.client, job.slot, protocol::kind::put, job.codes);
  }
  [[nodiscard]] result<void> publish(incoming_value& value, put_mode mode) {
    LADING_TRY {
      const bool wanted = mode == put_mode::replace || !index_.contains(value.key);
      if (wanted && options_.evict == eviction::lru && !index_.has_room(value.key, value.value->meta)) index_.make_room(value.key, value.value->meta);
      return index_.publish(value.key, std::move(value.value), mode);
    }
    LADING_CATCH_BAD_ALLOC(return fail(errc::no_memory))
  }

  [[nodiscard]] bool is_whole(const stored_value& value, const crew& threads) {
    const stage_timer timer(submitter_.meter(), stage::verify, value.meta.size);
    const auto of_piece = [&](std::uint64_t offset, std::uint64_t size) noexcept {
      const std::uint64_t whole = size;
      checksum_hasher hasher;
      for (const slab_extent& each : value.lease.extents()) {
        const std::uint64_t before = std::min(offset, each.size), wanted = std::min(each.size - before, size);
        const bytes_span bytes = value.lease.bytes_of(each).subspan(static_cast<std::size_t>(before), static_cast<std::size_t>(wanted));
        if (wanted == whole) return checksum_of(bytes.data(), bytes.size());
        hasher.update(bytes.data(), bytes.size());
        offset -= before;
        size -= wanted;
      }
      return hasher.digest();
    };
    return checksum_by_pieces(value.meta.size, threads, of_piece) == value.meta.checksum;
  }

  Submitter& submitter_;
  slab_pool<Submitter>& slabs_;
  value_index& index_;
  mail_type& mail_;
  const store_server_options& options_;
  std::vector<std::shared_ptr<put_job>> jobs_;
  std::vector<std::weak_ptr<put_job>> late_;  // that have ended, but the transport has not let go of their memory
};

}  // namespace lading::detail
