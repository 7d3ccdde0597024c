// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include <lading/exchange/detail/mailroom.hpp>
#include <lading/exchange/detail/value_index.hpp>
#include <lading/exchange/protocol.hpp>
#include <lading/exchange/slab.hpp>
#include <lading/exchange/store.hpp>
#include <lading/exchange/submitter.hpp>

namespace lading {

/// How a store server works.
struct store_server_options {
  slab_options memory{};                                             ///< for the values
  eviction evict = eviction::none;                                   ///< when it is full
  std::size_t max_clients = 64;                                      ///< at a time; one that has been silent for lease_time makes room for a new one
  std::size_t slots_per_client = 16;                                 ///< requests that a client may have under way; at most 256
  std::size_t max_slot = 256 << 10;                                  ///< bytes of one request or answer; at most 16 MiB
  std::size_t max_key = 1024;                                        ///< bytes
  std::size_t max_imports = 1024;                                    ///< regions of one client that are kept imported
  std::size_t max_leases = 65'536;                                   ///< batches that may be read at a time
  std::chrono::nanoseconds lease_time = std::chrono::seconds(10);    ///< for which a value that was found stays where it is
  std::chrono::nanoseconds transfer_time = std::chrono::seconds(5);  ///< after which a put whose bytes do not arrive is given up
  std::chrono::nanoseconds connect_time = std::chrono::milliseconds(500);  ///< for reaching a client that says hello
  std::size_t serial_workers = 1;                                          ///< threads that share the verification of one request
  worker_pool* pool = nullptr;                                             ///< whose threads these are; null = worker_pool::shared()
  submitter_options moving{};
};

/// Keeps values for clients of the same transport: a registered slab and an index.
///
/// It fetches what clients put from their memory, verifies it, and only then publishes it; what clients get they fetch from its memory, and verify.
/// Nothing that a client says is believed: sizes, counts and places are bounded before memory is set aside.
/// Threads:  progress and stats from any thread; one of them works, the others return. Nothing happens but in progress.
/// Lifetime: clients find it gone, as peer_lost, when it is destroyed.
template <transport Transport, class Selector = select_by_process, exchange_observer Observer = no_observer>
class store_server {
 public:
  using meter_type = exchange_meter<Observer>;
  using submitter_type = basic_submitter<Transport, Selector, meter_type>;

  /// Errors: invalid_argument for options that make no sense, unsupported for a transport that cannot notify or get, and what it says to allocating.
  [[nodiscard]] static result<std::unique_ptr<store_server>> create(Transport transport, const store_server_options& options = {},
                                                                    Selector select = {}, Observer observer = {}) {
    if (options.slots_per_client == 0 || options.slots_per_client > protocol::most_slots || options.max_slot < protocol::least_slot ||
        options.max_slot > protocol::largest_slot || options.max_clients == 0 || options.max_key == 0 || options.max_key > protocol::longest_key ||
        options.max_imports == 0 || options.max_leases == 0 || options.lease_time.count() <= 0 || options.transfer_time.count() <= 0 ||
        options.connect_time.count() <= 0 || options.serial_workers == 0 || options.memory.max_extents > protocol::most_extents) {
      return fail(errc::invalid_argument, {.what = "an option of the server is zero, or above its limit"});
    }
    if (!transport.capabilities().notifies || !transport.capabilities().serves_get) {
      return fail(errc::unsupported, {.what = "a store needs a transport that notifies and gets"});
    }
    auto made = std::unique_ptr<store_server>(new store_server(std::move(transport), options, std::move(observer)));
    if (auto begun = made->begin(std::move(select)); !begun) return fail(begun.error());
    return made;
  }
  store_server(const store_server&) = delete;
  store_server& operator=(const store_server&) = delete;
  ~store_server() {
    jobs_.clear();
    leases_.clear();
    if (mail_ != nullptr) mail_->close();
  }

  /// The bytes by which clients reach it, to be sent by whatever means the program has. Give it only to those who may put and remove.
  [[nodiscard]] bytes_view address() const noexcept { return address_; }

  /// One round: takes requests, moves and publishes values, sends answers; returns how many things happened.
  std::size_t progress() {
    const std::unique_lock held(mutex_, std::try_to_lock);
    if (!held) return 0;
    std::size_t happened = transport_.progress();
    happened += mail_->take([this](const auto& client, std::size_t slot, const protocol::message& message) { serve(client, slot, message); });
    happened += finish_jobs();
    happened += mail_->send_answers();
    expire_leases();
    submitter_->reap();
    return happened;
  }

  [[nodiscard]] store_stats stats() {
    const std::lock_guard held(mutex_);
    return stats_now();
  }
  [[nodiscard]] exchange_metrics metrics() const noexcept { return meter_.read(); }
  [[nodiscard]] Transport& transport_used() noexcept { return transport_; }
  [[nodiscard]] int event_fd() const noexcept { return transport_.event_fd(); }

 private:
  using clock = std::chrono::steady_clock;
  using mail_type = detail::mailroom<Transport, submitter_type>;
  using client_ptr = std::shared_ptr<typename mail_type::session>;

  /// One value on its way in.
  struct incoming_value {
    std::string key;
    std::shared_ptr<detail::stored_value> value;
    std::uint16_t code = 0;
    std::size_t first_item = 0, last_item = 0;  // of the submission
  };
  /// A request for puts whose bytes are on their way.
  struct put_job {
    client_ptr client;
    std::size_t slot = 0;
    put_mode mode = put_mode::insert;
    std::vector<incoming_value> values;
    typename submitter_type::future moving;
  };
  /// Values that a client is reading.
  struct read_lease {
    std::uint64_t client = 0;
    clock::time_point until{};
    std::vector<detail::value_index::value> values;
  };

  store_server(Transport&& transport, const store_server_options& options, Observer observer)
      : options_(options), meter_(std::move(observer)), transport_(std::move(transport)) {}

  [[nodiscard]] result<void> begin(Selector select) {
    auto made = submitter_type::create(transport_, meter_, options_.moving, std::move(select));
    if (!made) return fail(made.error());
    submitter_ = std::make_unique<submitter_type>(std::move(*made));
    auto pool = slab_pool<submitter_type>::create(transport_, *submitter_, options_.memory);
    if (!pool) return fail(pool.error());
    pool_ = std::make_unique<slab_pool<submitter_type>>(std::move(*pool));
    mail_ = std::make_unique<mail_type>(transport_, *submitter_,
                                        detail::mailroom_limits{.clients = options_.max_clients,
                                                                .slots = options_.slots_per_client,
                                                                .slot_size = options_.max_slot,
                                                                .patience = options_.lease_time,
                                                                .connect_time = options_.connect_time,
                                                                .send_time = options_.transfer_time,
                                                                .lease_time = static_cast<std::uint64_t>(options_.lease_time.count()),
                                                                .transfer_time = static_cast<std::uint64_t>(options_.transfer_time.count())});
    auto address = mail_->open();
    if (!address) return fail(address.error());
    address_ = std::move(*address);
    return {};
  }

  void serve(const client_ptr& client, std::size_t slot, const protocol::message& message) {
    const auto decoded = [&]<class Body>(std::type_identity<Body>, auto&& go) {
      const auto request = decode_from<Body>(bytes_view(message.body()));
      if (request) return go(*request);
      mail_type::ignore(*client, slot);  // whole, and yet no request: the peer is no client
    };
    const auto codes_of = [&](const protocol::keys_request& request, auto&& code_of) {
      protocol::codes_answer codes;
      for (const std::string_view key : request.keys) codes.codes.push_back(static_cast<std::uint16_t>(code_of(key)));
      mail_->answer(*client, slot, message.head.kind, codes);
    };
    switch (message.head.kind) {
      case protocol::kind::put: return decoded(std::type_identity<protocol::put_request>{}, [&](const auto& request) { put(client, slot, request); });
      case protocol::kind::find:
        return decoded(std::type_identity<protocol::keys_request>{}, [&](const auto& request) { find(client, slot, request); });
      case protocol::kind::exists:
        return decoded(std::type_identity<protocol::keys_request>{}, [&](const auto& request) {
          codes_of(request, [&](std::string_view key) { return index_.contains(key) ? errc{} : errc::not_found; });
        });
      case protocol::kind::remove:
        return decoded(std::type_identity<protocol::keys_request>{}, [&](const auto& request) {
          codes_of(request, [&](std::string_view key) { return index_.remove(key) ? errc{} : errc::not_found; });
        });
      case protocol::kind::release:
        return decoded(std::type_identity<protocol::release_request>{}, [&](const auto& request) {
          const auto lease = leases_.find(request.lease);
          if (lease != leases_.end() && lease->second.client == client->client) leases_.erase(lease);
          mail_->answer(*client, slot, message.head.kind, protocol::nothing{});
        });
      case protocol::kind::stats: return mail_->answer(*client, slot, message.head.kind, stats_now());
      case protocol::kind::goodbye: return mail_->forget(client_ptr(client));
      case protocol::kind::hello: mail_type::ignore(*client, slot);  // belongs into the lobby
    }
  }

  /// Sets memory aside for each value and starts to fetch them, all in one submission.
  void put(const client_ptr& client, std::size_t slot, const protocol::put_request& request) {
    auto job = std::make_unique<put_job>();
    job->client = client;
    job->slot = slot;
    job->mode = request.mode;
    std::vector<result<remote_region_id>> regions;
    for (const bytes_view descriptor : request.regions) regions.push_back(mail_->import_for(*client, descriptor, options_.max_imports));
    std::vector<exchange_item> items;
    for (const protocol::put_entry& entry : request.entries) {
      incoming_value& value = job->values.emplace_back();
      value.key = entry.key;
      value.first_item = value.last_item = items.size();
      const auto accepted = accept(entry, request.mode, regions, client->peer, value, items);
      if (!accepted) value.code = static_cast<std::uint16_t>(accepted.error().code());
      value.last_item = items.size();
    }
    job->moving = submitter_->submit(items, op::get, {.deadline = options_.transfer_time});
    ++client->jobs;
    jobs_.push_back(std::move(job));
  }

  [[nodiscard]] result<void> accept(const protocol::put_entry& entry, put_mode mode, const std::vector<result<remote_region_id>>& regions,
                                    peer_id peer, incoming_value& value, std::vector<exchange_item>& items) {
    if (entry.key.size() > options_.max_key) return fail(errc::invalid_argument);
    if (!detail::plausible(entry.meta) || !protocol::covers(entry.from, regions.size(), entry.meta.size)) return fail(errc::invalid_argument);
    if (mode == put_mode::insert && index_.contains(entry.key)) return fail(errc::already_exists);
    for (const protocol::extent& each : entry.from) {
      if (!regions[each.region]) return fail(regions[each.region].error());
    }
    auto lease = pool_->take(entry.meta.size);
    while (!lease && options_.evict == eviction::lru && entry.meta.size <= pool_->capacity() && index_.evict()) lease = pool_->take(entry.meta.size);
    if (!lease) return fail(lease.error());
    value.value = std::make_shared<detail::stored_value>(detail::stored_value{entry.meta, std::move(*lease)});
    std::size_t from = 0;
    std::uint64_t used = 0;  // of the client's extent
    for (const slab_extent& to : value.value->lease.extents()) {
      for (std::uint64_t filled = 0; filled < to.size;) {
        const protocol::extent& source = entry.from[from];
        const std::uint64_t size = std::min(to.size - filled, source.size - used);
        items.push_back({peer, {pool_->region_of(to.slab), *regions[source.region], to.offset + filled, source.offset + used, size}});
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

  /// Publishes what has arrived whole, and answers.
  std::size_t finish_jobs() {
    std::size_t finished = 0;
    for (std::size_t i = 0; i < jobs_.size();) {
      if (!jobs_[i]->moving.progress()) {
        ++i;
        continue;
      }
      const std::unique_ptr<put_job> job = std::move(jobs_[i]);
      jobs_.erase(jobs_.begin() + static_cast<std::ptrdiff_t>(i));
      finish(*job);
      ++finished;
    }
    return finished;
  }

  void finish(put_job& job) {
    const std::vector<result<void>>& arrived = job.moving.get();
    const auto check = [&](std::size_t index) {
      incoming_value& value = job.values[index];
      for (std::size_t item = value.first_item; item < value.last_item && value.code == 0; ++item) {
        if (!arrived[item]) value.code = static_cast<std::uint16_t>(arrived[item].error().code());
      }
      if (value.code == 0 && !is_whole(*value.value)) value.code = static_cast<std::uint16_t>(errc::checksum_mismatch);
    };
    if (options_.serial_workers > 1) {
      worker_pool& pool = options_.pool != nullptr ? *options_.pool : worker_pool::shared();
      static_cast<void>(pool.run(job.values.size(), options_.serial_workers, check));
    } else {
      for (std::size_t i = 0; i < job.values.size(); ++i) check(i);
    }
    protocol::codes_answer codes;
    for (incoming_value& value : job.values) {
      if (value.code == 0) {
        if (const auto published = index_.publish(value.key, std::move(value.value), job.mode); !published) {
          value.code = static_cast<std::uint16_t>(published.error().code());
        }
      } else if (value.value != nullptr && job.moving.quarantined()) {
        std::move(value.value->lease).quarantine(std::chrono::nanoseconds{0});
      }
      value.code == 0 ? meter_.succeeded() : meter_.failed(errc{value.code});
      codes.codes.push_back(value.code);
    }
    --job.client->jobs;
    mail_->answer(*job.client, job.slot, protocol::kind::put, codes);
  }

  [[nodiscard]] bool is_whole(const detail::stored_value& value) {
    const stage_timer timer(meter_, stage::verify, strategy::transport, value.meta.size);
    checksum_hasher hasher;
    for (const slab_extent& each : value.lease.extents()) {
      const bytes_span bytes = value.lease.bytes_of(each);
      hasher.update(bytes.data(), bytes.size());
    }
    return hasher.digest() == value.meta.checksum;
  }

  /// Tells where the values are, as many as fit the answer, and holds them there.
  void find(const client_ptr& client, std::size_t slot, const protocol::keys_request& request) {
    protocol::find_answer answer;
    read_lease lease{.client = client->client, .until = clock::now() + options_.lease_time, .values = {}};
    std::vector<std::uint32_t> slabs;  // the regions of the answer
    std::size_t room = client->slot_size - protocol::head_size - 64;
    for (const std::string_view key : request.keys) {
      const auto value = leases_.size() < options_.max_leases ? index_.find(key) : nullptr;
      protocol::found entry;
      std::vector<std::uint32_t> fresh;
      if (value == nullptr) {
        entry.code = static_cast<std::uint16_t>(leases_.size() < options_.max_leases ? errc::not_found : errc::busy);
      } else {
        entry.meta = value->meta;
        for (const slab_extent& each : value->lease.extents()) {
          auto known = std::find(slabs.begin(), slabs.end(), each.slab);
          if (known == slabs.end()) {
            fresh.push_back(each.slab);
            slabs.push_back(each.slab);
            known = slabs.end() - 1;
          }
          entry.at.push_back({static_cast<std::uint32_t>(known - slabs.begin()), each.offset, each.size});
        }
      }
      std::size_t size = protocol::entry_overhead + encoded_size(entry);
      for (const std::uint32_t each : fresh) size += protocol::entry_overhead + pool_->descriptor_of(each).size();
      if (size > room) {
        slabs.resize(slabs.size() - fresh.size());
        break;
      }
      room -= size;
      answer.entries.push_back(std::move(entry));
      if (value != nullptr && value->meta.size != 0) lease.values.push_back(value);
    }
    for (const std::uint32_t each : slabs) answer.regions.push_back(pool_->descriptor_of(each));
    if (!lease.values.empty()) {
      answer.lease = ++next_lease_;
      leases_.emplace(answer.lease, std::move(lease));
    }
    mail_->answer(*client, slot, protocol::kind::find, answer);
  }

  /// A reader that takes longer finds another checksum where the memory was used again, and asks once more.
  void expire_leases() {
    const auto now = clock::now();
    if (now < next_expiry_) return;
    std::erase_if(leases_, [&](const auto& each) { return each.second.until <= now; });
    next_expiry_ = now + options_.lease_time / 8;
  }

  [[nodiscard]] store_stats stats_now() {
    std::unordered_set<const void*> leased;
    for (const auto& each : leases_) {
      for (const auto& value : each.second.values) leased.insert(value.get());
    }
    return {.values = index_.size(),
            .bytes = index_.bytes(),
            .capacity = pool_->capacity(),
            .free = pool_->free_bytes(),
            .evicted = index_.evicted(),
            .leased = leased.size(),
            .clients = mail_->clients()};
  }

  store_server_options options_;
  meter_type meter_;
  Transport transport_;
  std::unique_ptr<submitter_type> submitter_;
  std::unique_ptr<slab_pool<submitter_type>> pool_;
  std::unique_ptr<mail_type> mail_;
  std::vector<std::byte> address_;

  std::mutex mutex_;  // what follows
  detail::value_index index_;
  std::vector<std::unique_ptr<put_job>> jobs_;
  std::unordered_map<std::uint64_t, read_lease> leases_;
  std::uint64_t next_lease_ = 0;
  clock::time_point next_expiry_{};
};

}  // namespace lading
