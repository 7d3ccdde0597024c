// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <utility>
#include <vector>

#include <lading/core/config.hpp>
#include <lading/exchange/detail/intake.hpp>
#include <lading/exchange/detail/mailroom.hpp>
#include <lading/exchange/detail/read_leases.hpp>
#include <lading/exchange/detail/value_index.hpp>
#include <lading/exchange/protocol.hpp>
#include <lading/exchange/server_options.hpp>
#include <lading/exchange/slab.hpp>
#include <lading/exchange/store.hpp>
#include <lading/exchange/submitter.hpp>

namespace lading {

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
        options.connect_time.count() <= 0 || options.memory.max_extents > protocol::most_extents) {
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
    intake_.reset();
    leases_.clear();
    if (mail_ != nullptr) mail_->close();
  }

  /// The bytes by which clients reach it, to be sent by whatever means the program has. Give it only to those who may put and remove.
  [[nodiscard]] bytes_view address() const noexcept { return address_; }

  /// One round: takes requests, moves and publishes values, sends answers; returns how many things happened. A request for which there is no memory is
  /// answered with no_memory, or, where there is none for that either, taken on when the client sends it again.
  std::size_t progress() {
    const std::unique_lock held(mutex_, std::try_to_lock);
    if (!held) return 0;
    std::size_t happened = transport_.progress();
    const auto some = [&](auto&& work) {
      std::size_t done = 1;
      LADING_TRY { done = work(); }
      LADING_CATCH_BAD_ALLOC(static_cast<void>(0))  // what was not taken comes again, and what was not sent is sent the next time
      happened += done;
    };
    some([&] {
      return mail_->take([this](const auto& client, std::size_t slot, const protocol::message& message) {
        LADING_TRY { serve(client, slot, message); }
        LADING_CATCH_BAD_ALLOC(refuse(*client, slot, message))
      });
    });
    some([&] { return intake_->finish_some(); });
    some([&] { return mail_->send_answers(); });
    leases_.expire();
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
  using mail_type = detail::mailroom<Transport, submitter_type>;
  using client_ptr = std::shared_ptr<typename mail_type::session>;

  store_server(Transport&& transport, const store_server_options& options, Observer observer)
      : options_(options),
        meter_(std::move(observer)),
        transport_(std::move(transport)),
        index_(options.max_index != 0 ? options.max_index : options.memory.capacity),
        leases_(options.lease_time) {
    if (options_.serial_workers == 0) options_.serial_workers = std::min<std::size_t>(detail::hardware_threads(), 4);
  }

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
                                                                .key = options_.max_key,
                                                                .patience = options_.lease_time,
                                                                .connect_time = options_.connect_time,
                                                                .send_time = options_.transfer_time,
                                                                .lease_time = static_cast<std::uint64_t>(options_.lease_time.count()),
                                                                .transfer_time = static_cast<std::uint64_t>(options_.transfer_time.count())});
    auto address = mail_->open();
    if (!address) return fail(address.error());
    address_ = std::move(*address);
    intake_ = std::make_unique<detail::intake<Transport, submitter_type>>(*submitter_, *pool_, index_, *mail_, options_);
    return {};
  }

  void serve(const client_ptr& client, std::size_t slot, const protocol::message& message) {
    const auto decoded = [&]<class Body>(std::type_identity<Body>, auto&& go) {
      const auto request = decode_from<Body>(bytes_view(message.body()));
      if (request) return go(*request);
      if (request.error() == errc::no_memory) return refuse(*client, slot, message);
      mail_type::ignore(*client, slot);  // whole, and yet no request: the peer is no client
    };
    const auto codes_of = [&](const protocol::keys_request& request, auto&& code_of) {
      protocol::codes_answer codes;
      codes.codes.reserve(request.keys.size());  // before anything is done
      for (const std::string_view key : request.keys) codes.codes.push_back(static_cast<std::uint16_t>(code_of(key)));
      mail_->answer(*client, slot, message.head.kind, codes);
    };
    switch (message.head.kind) {
      case protocol::kind::put:
        return decoded(std::type_identity<protocol::put_request>{}, [&](const auto& request) { intake_->start(client, slot, request); });
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
          for (const std::uint64_t lease : request.leases) leases_.release(client->endpoint, lease);
          mail_->answer(*client, slot, message.head.kind, protocol::nothing{});
        });
      case protocol::kind::stats: return mail_->answer(*client, slot, message.head.kind, stats_now());
      case protocol::kind::goodbye: leases_.release_all(client->endpoint); return mail_->forget(client_ptr(client));
      case protocol::kind::hello: mail_type::ignore(*client, slot);  // belongs into the lobby
    }
  }

  /// There was no memory for the request, and nothing of it was done: says so where there is memory for that.
  void refuse(typename mail_type::session& client, std::size_t slot, const protocol::message& message) noexcept {
    if (!mail_type::is_working(client, slot)) return;  // it has its answer, which only was not sent
    constexpr auto code = static_cast<std::uint16_t>(errc::no_memory);
    LADING_TRY {
      const auto all = [&](std::size_t count) {
        mail_->answer(client, slot, message.head.kind, protocol::codes_answer{std::vector<std::uint16_t>(count, code)});
      };
      switch (message.head.kind) {
        case protocol::kind::put:
          if (const auto request = decode_from<protocol::put_request>(bytes_view(message.body())); request) return all(request->entries.size());
          break;
        case protocol::kind::exists:
        case protocol::kind::remove:
          if (const auto request = decode_from<protocol::keys_request>(bytes_view(message.body())); request) return all(request->keys.size());
          break;
        case protocol::kind::find: {
          protocol::find_answer first;  // of the first key: the client asks again for the others
          first.entries.push_back({.code = code, .meta = {}, .at = {}});
          return mail_->answer(client, slot, message.head.kind, first);
        }
        default: break;
      }
    }
    LADING_CATCH_BAD_ALLOC(static_cast<void>(0))
    if (mail_type::is_working(client, slot)) mail_type::undo(client, slot);
  }

  /// Tells where the values are, as many as fit the answer, and holds them there.
  void find(const client_ptr& client, std::size_t slot, const protocol::keys_request& request) {
    protocol::find_answer answer;
    std::vector<detail::value_index::value> found;
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
      if (value != nullptr && value->meta.size != 0) found.push_back(value);
    }
    for (const std::uint32_t each : slabs) answer.regions.push_back(pool_->descriptor_of(each));
    if (!found.empty()) answer.lease = leases_.add(client->endpoint, std::move(found));
    mail_->answer(*client, slot, protocol::kind::find, answer);
  }

  [[nodiscard]] store_stats stats_now() {
    return {.values = index_.size(),
            .bytes = index_.bytes(),
            .capacity = pool_->capacity(),
            .free = pool_->free_bytes(),
            .evicted = index_.evicted(),
            .leased = leases_.values(),
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
  std::unique_ptr<detail::intake<Transport, submitter_type>> intake_;
  detail::read_leases leases_;
};

}  // namespace lading
