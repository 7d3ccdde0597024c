// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <new>
#include <span>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include <lading/core/config.hpp>
#include <lading/exchange/detail/channel.hpp>
#include <lading/exchange/detail/client_memory.hpp>
#include <lading/exchange/detail/crew.hpp>
#include <lading/exchange/detail/fetching.hpp>
#include <lading/exchange/detail/late_memory.hpp>
#include <lading/exchange/detail/value_checksum.hpp>
#include <lading/exchange/detail/value_index.hpp>
#include <lading/exchange/protocol.hpp>
#include <lading/exchange/submitter.hpp>

namespace lading::detail {

/// One value to be put.
struct outgoing_value {
  std::size_t index = 0;  // in the batch
  std::string_view key;
  protocol::meta meta;
  registered_bytes memory;
  errc last = errc::timed_out;  // why it is tried again
  unsigned doubts = 0;          // how often trying again may have been of no use
};

/// The calls of a client about values in memory, without types. Each retries what may succeed, and only that, until its time is up.
///
/// Threads: any.
template <class Transport, class Submitter>
class store_calls {
 public:
  using channel_type = channel<Transport, Submitter>;
  using clock = typename channel_type::clock;

  /// The threads are those that share the verification of a large value.
  store_calls(channel_type& line, Submitter& submitter, const crew& threads) : line_(line), submitter_(submitter), threads_(threads) {}

  /// Puts values; done(index, result) is called once for each. Memory that the server may still read is quarantined.
  template <class Done>
  void put(std::vector<outgoing_value>& values, put_mode mode, clock::time_point until, Done&& done) {
    std::vector<std::size_t> pending;
    pending.reserve(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      const outgoing_value& each = values[i];
      is_too_long(each.key) ? done(each.index, result<void>(fail(too_long(each.key, each.index)))) : pending.push_back(i);
    }
    backoff pauses = line_.new_backoff();
    while (!pending.empty()) {
      std::vector<std::size_t> again;
      for (std::size_t first = 0; first < pending.size();) {
        if (clock::now() >= until) {
          done(values[pending[first]].index, result<void>(fail(too_late(values[pending[first]].index))));
          ++first;
          continue;
        }
        const std::size_t last = first + put_some(values, std::span(pending).subspan(first), mode, until, done, again);
        first = last;
      }
      pending = std::move(again);
      if (!pending.empty()) submitter_.meter().retried(pending.size());
      if (!pending.empty() && !line_.pause(pauses, until)) {
        for (const std::size_t each : pending)
          done(values[each].index, result<void>(fail(values[each].last, {.item = values[each].index, .what = "the server's answer"})));
        return;
      }
    }
  }

  /// Fetches values. place(index, meta) gives the memory for one, as result<registered_bytes*>; done(index, meta, result) is called once for each, with
  /// the value whole and verified, or not at all touched by a reader.
  template <class Place, class Done>
  void get(std::span<const wanted_value> wanted, clock::time_point until, Place&& place, Done&& done) {
    std::vector<wanted_value> pending;
    pending.reserve(wanted.size());
    for (const wanted_value& each : wanted) {
      is_too_long(each.key) ? done(each.index, protocol::meta{}, result<void>(fail(too_long(each.key, each.index)))) : pending.push_back(each);
    }
    backoff pauses = line_.new_backoff();
    while (!pending.empty()) {
      std::vector<wanted_value> again;
      std::vector<error> why;
      for (std::size_t first = 0; first < pending.size();) first += get_some(std::span(pending).subspan(first), until, place, done, again, why);
      pending = std::move(again);
      if (!pending.empty()) submitter_.meter().retried(pending.size());
      if (!pending.empty() && !line_.pause(pauses, until)) {
        for (std::size_t i = 0; i < pending.size(); ++i) done(pending[i].index, protocol::meta{}, result<void>(fail(why[i])));
        return;
      }
    }
  }

  /// Asks about keys; done(index, code) is called once for each, or failed(index, error).
  template <class Done, class Failed>
  void ask(protocol::kind what, std::span<const wanted_value> all, clock::time_point until, Done&& done, Failed&& failed) {
    std::vector<wanted_value> wanted;
    wanted.reserve(all.size());
    for (const wanted_value& each : all) {
      is_too_long(each.key) ? failed(each.index, too_long(each.key, each.index)) : wanted.push_back(each);
    }
    for (std::size_t first = 0; first < wanted.size();) {
      protocol::keys_request request;
      const std::size_t count = fill(request, std::span<const wanted_value>(wanted).subspan(first));
      const auto asked = line_.template call<protocol::codes_answer>(what, request, until, [&](const protocol::codes_answer& answer) -> result<void> {
        if (answer.codes.size() != count) return wrong_count(answer.codes.size(), count);
        for (std::size_t i = 0; i < count; ++i) done(wanted[first + i].index, static_cast<errc>(answer.codes[i]));
        return {};
      });
      if (!asked) {
        for (std::size_t i = 0; i < count; ++i) failed(wanted[first + i].index, asked.error());
      }
      first += count;
    }
  }

  /// Whether a transfer that ended early may still write into this memory of the user.
  [[nodiscard]] bool may_be_written(bytes_view bytes) const noexcept { return late_->overlap(bytes); }
  /// What a key ends with whose turn did not come in time.
  [[nodiscard]] static error too_late(std::size_t index) noexcept {
    return error(errc::timed_out, {.item = index, .what = "the deadline passed before the key's turn"});
  }

 private:
  [[nodiscard]] static failure wrong_count(std::size_t found, std::size_t wanted) noexcept {
    return fail(errc::bad_header, {.needed = wanted, .available = found, .what = "the server answered about another number of keys"});
  }

  [[nodiscard]] bool is_too_long(std::string_view key) const noexcept { return key.size() > line_.longest_key(); }
  [[nodiscard]] error too_long(std::string_view key, std::size_t index) const noexcept {
    return error(errc::invalid_argument, {.needed = key.size(),
                                          .available = line_.longest_key(),
                                          .item = index,
                                          .what = "the key is longer than store_server_options::max_key of this server"});
  }

  /// Fills a request with keys, at least one; returns how many.
  [[nodiscard]] std::size_t fill(protocol::keys_request& request, std::span<const wanted_value> wanted) const {
    std::size_t room = line_.room() - 64, count = 0;
    for (; count < wanted.size(); ++count) {
      const std::size_t size = wanted[count].key.size() + protocol::entry_overhead;
      if (size > room && count != 0) break;
      room -= std::min(size, room);
      request.keys.push_back(wanted[count].key);
    }
    return count;
  }

  template <class Done>
  [[nodiscard]] std::size_t put_some(std::vector<outgoing_value>& values, std::span<const std::size_t> pending, put_mode mode,
                                     clock::time_point until, Done&& done, std::vector<std::size_t>& again) {
    protocol::put_request request{.mode = mode, .regions = {}, .entries = {}};
    std::vector<region_id> regions;
    std::size_t room = line_.room() - 64, count = 0;
    for (; count < pending.size(); ++count) {
      const outgoing_value& value = values[pending[count]];
      protocol::put_entry entry{value.key, value.meta, {}};
      auto known = std::find(regions.begin(), regions.end(), value.memory.region);
      const bool fresh = known == regions.end() && value.meta.size != 0;
      if (value.meta.size != 0) {
        entry.from.push_back({static_cast<std::uint32_t>(known - regions.begin()), value.memory.offset, value.meta.size});
      }
      const std::size_t size =
          encoded_size(entry) + protocol::entry_overhead + (fresh ? value.memory.descriptor.size() + protocol::entry_overhead : 0);
      if (size > room && count != 0) break;
      room -= std::min(size, room);
      if (fresh) {
        regions.push_back(value.memory.region);
        request.regions.push_back(value.memory.descriptor);
      }
      request.entries.push_back(std::move(entry));
    }
    again.reserve(again.size() + count);
    const auto asked =
        line_.template call<protocol::codes_answer>(protocol::kind::put, request, until, [&](const protocol::codes_answer& answer) -> result<void> {
          if (answer.codes.size() != count) return wrong_count(answer.codes.size(), count);
          for (std::size_t i = 0; i < count; ++i) {
            const auto code = static_cast<errc>(answer.codes[i]);
            outgoing_value& value = values[pending[i]];
            const std::size_t index = value.index;
            value.last = code;
            if (code == errc{}) {
              done(index, result<void>{});
            } else if (is_transient(code) && (!is_doubtful(code) || ++value.doubts < most_doubts)) {
              again.push_back(pending[i]);
            } else {
              done(index, result<void>(fail(code, {.item = index, .what = "the server's answer"})));
            }
          }
          return {};
        });
    if (!asked) {
      std::uint64_t offered = 0;
      for (std::size_t i = 0; i < count; ++i) offered += values[pending[i]].meta.size;
      for (std::size_t i = 0; i < count; ++i) {
        outgoing_value& value = values[pending[i]];
        std::move(value.memory).quarantine(line_.transfer_time(offered));
        done(value.index, result<void>(fail(asked.error().with_item(value.index))));
      }
    }
    return count;
  }

  /// Memory for one value. That there is none for it is told of this value alone.
  template <class Place>
  [[nodiscard]] static result<registered_bytes*> room_for(Place&& place, std::size_t index, const protocol::meta& meta) {
    LADING_TRY { return place(index, meta); }
    LADING_CATCH_BAD_ALLOC(return fail(errc::no_memory, {.needed = meta.size, .what = "there is no memory for the value"}))
  }

  template <class Place, class Done>
  [[nodiscard]] std::size_t get_some(std::span<const wanted_value> pending, clock::time_point until, Place&& place, Done&& done,
                                     std::vector<wanted_value>& again, std::vector<error>& why) {
    submitter_.reap();  // what earlier calls left behind and the transport has let go of by now
    protocol::keys_request request;
    std::size_t count = fill(request, pending);
    std::vector<arriving_value> values;
    std::vector<exchange_item> items;
    std::uint64_t connection = 0;
    reading<channel_type> lease(line_);
    const std::size_t before = again.size();
    again.reserve(before + count);
    why.reserve(before + count);
    const auto give_up = [&](wanted_value value, const error& cause) {
      if (is_doubtful(cause.code())) ++value.doubts;
      if (is_transient(cause.code()) && value.doubts < most_doubts && clock::now() < until) {
        again.push_back(value);
        why.push_back(cause.with_item(value.index));
      } else {
        done(value.index, protocol::meta{}, result<void>(fail(cause.with_item(value.index))));
      }
    };
    const auto asked =
        line_.template call<protocol::find_answer>(protocol::kind::find, request, until, [&](const protocol::find_answer& answer) -> result<void> {
          if (answer.entries.empty() || answer.entries.size() > count) return wrong_count(answer.entries.size(), count);
          count = answer.entries.size();
          lease.begin(answer.lease);
          connection = line_.connection();
          std::vector<result<remote_region_id>> regions;
          for (const bytes_view descriptor : answer.regions) regions.push_back(line_.import(descriptor));
          for (std::size_t i = 0; i < count; ++i) {
            const protocol::found& entry = answer.entries[i];
            if (entry.code != 0) {
              give_up(pending[i], error(static_cast<errc>(entry.code), {.what = "the server's answer"}));
            } else if (!plausible(entry.meta) || !protocol::covers(entry.at, regions.size(), entry.meta.size)) {
              give_up(pending[i], error(errc::bad_header, {.what = "what the server says of the value cannot be"}));
            } else if (const auto bad = std::find_if(entry.at.begin(), entry.at.end(), [&](const auto& each) { return !regions[each.region]; });
                       bad != entry.at.end()) {
              give_up(pending[i], regions[bad->region].error());
            } else if (result<registered_bytes*> memory = room_for(place, pending[i].index, entry.meta); !memory) {
              give_up(pending[i], memory.error());
            } else {
              arriving_value value{pending[i], entry.meta, *memory, items.size(), items.size()};
              std::uint64_t filled = 0;
              for (const protocol::extent& each : entry.at) {
                items.push_back({line_.peer(), {(*memory)->region, *regions[each.region], (*memory)->offset + filled, each.offset, each.size}});
                filled += each.size;
              }
              value.last_item = items.size();
              values.push_back(std::move(value));
            }
          }
          return {};
        });
    if (!asked) {
      again.erase(again.begin() + static_cast<std::ptrdiff_t>(before), again.end());  // of an answer that was used in part
      why.erase(why.begin() + static_cast<std::ptrdiff_t>(before), why.end());
      for (std::size_t i = 0; i < count; ++i) {
        done(pending[i].index, protocol::meta{}, result<void>(fail(asked.error().with_item(pending[i].index))));
      }
      return count;
    }
    std::uint64_t bytes = 0;
    for (const exchange_item& each : items) bytes += each.where.size;
    fetching<Submitter> running(values, late_);
    typename Submitter::future& moving = running.moving;
    moving = submitter_.submit(items, op::get, {.deadline = line_.attempt_time(bytes, until)});
    for (unsigned idle = 0; !moving.is_ready();) line_.step(idle);
    running.end();
    lease.end();
    const std::vector<result<void>>& moved = moving.get();
    for (arriving_value& value : values) {
      result<void> how = value.how(moved);
      if (!how) {
        line_.note(how.error().code(), connection);
      } else if (!is_whole(value)) {
        how = fail(errc::checksum_mismatch, {.size = value.meta.size, .what = "the bytes are not those that were put"});
      }
      how ? done(value.wanted.index, value.meta, how) : give_up(value.wanted, how.error());
    }
    return count;
  }

  [[nodiscard]] bool is_whole(const arriving_value& value) {
    const stage_timer timer(submitter_.meter(), stage::verify, value.meta.size);
    return checksum_of_value(value.memory->bytes.first(static_cast<std::size_t>(value.meta.size)), threads_) == value.meta.checksum;
  }

  channel_type& line_;
  Submitter& submitter_;
  crew threads_;
  std::shared_ptr<late_targets> late_ = std::make_shared<late_targets>();
};

}  // namespace lading::detail
