// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <memory>
#include <span>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include <lading/batch/encode.hpp>
#include <lading/codec/decode.hpp>
#include <lading/codec/tensor/tensor.hpp>
#include <lading/codec/tensor/tensor_view.hpp>
#include <lading/exchange/detail/client_memory.hpp>
#include <lading/exchange/detail/crew.hpp>
#include <lading/exchange/detail/store_calls.hpp>
#include <lading/exchange/detail/stored_types.hpp>
#include <lading/exchange/detail/value_checksum.hpp>
#include <lading/pack/unpack.hpp>

namespace lading::detail {

/// Where a value lands, and where it belongs where that is elsewhere.
struct landing {
  registered_bytes memory;
  bytes_span target;
  std::shared_ptr<void> owner;  // of the target, where that is not the user's
};

struct typed_options {
  std::size_t in_place_from;    // bytes
  std::uint64_t largest_value;  // bytes
  crew coders;                  // share encoding and decoding the values of a part
  crew hashers;                 // share one large value
};

/// Objects of a batch that lie anywhere.
template <class T>
class scattered_objects {
 public:
  struct iterator {
    const T* const* at;
    [[nodiscard]] const T& operator[](std::ptrdiff_t index) const noexcept { return *at[index]; }
  };
  void add(const T& object) { objects_.push_back(&object); }
  void remove(std::size_t index) { objects_.erase(objects_.begin() + static_cast<std::ptrdiff_t>(index)); }
  [[nodiscard]] std::size_t size() const noexcept { return objects_.size(); }
  [[nodiscard]] iterator begin() const noexcept { return {objects_.data()}; }

 private:
  std::vector<const T*> objects_;
};

/// Values of any type to and from registered bytes.
///
/// Threads: any.
template <class Transport, class Submitter>
class typed_calls {
 public:
  using calls_type = store_calls<Transport, Submitter>;
  using memory_type = client_memory<Transport, Submitter>;
  using time_point = typename calls_type::clock::time_point;

  typed_calls(calls_type& calls, memory_type& memory, Submitter& submitter, const typed_options& options)
      : calls_(calls), memory_(memory), submitter_(submitter), options_(options) {}

  /// Gives each value of the part registered bytes: its own where they are worth it, else of the slab. done(index, error) for those that have none, such
  /// as those whose turn does not come in time.
  template <class T, class Values, class Done>
  void prepare(std::span<const wanted_value> part, const Values& values, std::vector<outgoing_value>& ready, time_point until, Done&& done) {
    const auto value_at = [&](std::size_t index) -> decltype(auto) { return std::begin(values)[static_cast<std::ptrdiff_t>(index)]; };
    if constexpr (stored_kind_of<T>() == value_kind::packed) {
      scattered_objects<T> objects;
      std::vector<wanted_value> left(part.begin(), part.end());
      for (const wanted_value& each : part) objects.add(value_at(each.index));
      while (!left.empty()) {
        if (calls_type::clock::now() >= until) {
          for (const wanted_value& each : left) done(each.index, result<void>(fail(calls_type::too_late(each.index))));
          return;
        }
        const auto encoded = encode(objects, left, ready);
        if (encoded) return;
        // The first object that cannot be encoded; the others go without it.
        const std::uint64_t item = encoded.error().details().item;
        const std::size_t bad = item < left.size() ? static_cast<std::size_t>(item) : 0;
        done(left[bad].index, result<void>(fail(encoded.error().with_item(left[bad].index))));
        left.erase(left.begin() + static_cast<std::ptrdiff_t>(bad));
        objects.remove(bad);
      }
    } else {
      for (const wanted_value& each : part) {
        const bool late = calls_type::clock::now() >= until;
        result<outgoing_value> made = late ? result<outgoing_value>(fail(calls_type::too_late(each.index))) : offer(value_at(each.index));
        if (!made) {
          done(each.index, result<void>(fail(made.error().with_item(each.index))));
          continue;
        }
        made->index = each.index;
        made->key = each.key;
        ready.push_back(std::move(*made));
      }
    }
  }

  /// Fetches values as Ts that own.
  template <class T>
  void get(std::span<const wanted_value> part, std::vector<result<T>>& results, time_point until) {
    std::unordered_map<std::size_t, landing> landed;
    const auto place = [&](std::size_t index, const protocol::meta& meta) -> result<registered_bytes*> {
      if (auto fits = check<T>(meta); !fits) return fail(fits.error());
      landing& where = landed[index];
      if constexpr (std::same_as<T, tensor>) {
        auto made = tensor::uninitialized(static_cast<dtype>(meta.dtype), meta.shape);
        if (!made) return fail(made.error());
        const auto owner = std::make_shared<T>(std::move(*made));
        return land(where, owner->bytes(), owner);
      } else if constexpr (stored_as_bytes<T>) {
        const auto owner = std::make_shared<T>(static_cast<std::size_t>(meta.size));
        return land(where, bytes_span(*owner), owner);
      } else {
        return land_anywhere(where, meta);
      }
    };
    std::vector<std::pair<std::size_t, protocol::meta>> arrived;
    calls_.get(part, until, place, [&](std::size_t index, const protocol::meta& meta, const result<void>& how) {
      if (!how) {
        results[index] = fail(how.error());
      } else if constexpr (stored_kind_of<T>() == value_kind::packed) {
        arrived.push_back({index, meta});
      } else {
        landing& where = landed[index];
        arrive(where);
        results[index] = std::move(*static_cast<T*>(where.owner.get()));
        landed.erase(index);
      }
    });
    decode_all(arrived.size(), [&](std::size_t i) {
      const std::size_t index = arrived[i].first;
      if constexpr (stored_kind_of<T>() == value_kind::packed) {
        results[index] = decode_packed<T>(landed.find(index)->second.memory.bytes);
        submitter_.meter().took_path(payload_path::get_decoded, 1);
      }
    });
  }

  /// Fetches values as Ts that may borrow from what is held with them.
  template <class T, class Held>
  void view(std::span<const wanted_value> part, std::vector<result<Held>>& results, time_point until) {
    std::unordered_map<std::size_t, std::shared_ptr<landing>> landed;
    const auto place = [&](std::size_t index, const protocol::meta& meta) -> result<registered_bytes*> {
      if (auto fits = check<T>(meta); !fits) return fail(fits.error());
      auto& where = landed[index];
      where = std::make_shared<landing>();
      return land_anywhere(*where, meta);
    };
    std::vector<std::pair<std::size_t, protocol::meta>> arrived;
    calls_.get(part, until, place, [&](std::size_t index, const protocol::meta& meta, const result<void>& how) {
      if (!how) return static_cast<void>(results[index] = fail(how.error()));
      arrived.push_back({index, meta});
    });
    decode_all(arrived.size(), [&](std::size_t i) {
      const auto& [index, meta] = arrived[i];
      const std::shared_ptr<landing>& where = landed.find(index)->second;
      auto made = view_of<T>(where->memory.bytes, meta);
      submitter_.meter().took_path(payload_path::get_viewed, borrows_when_stored<T>() ? 0 : 1);
      results[index] = made ? result<Held>(Held(std::move(*made), where)) : result<Held>(fail(made.error()));
    });
  }

  /// Memory for a value that belongs into `target`: that itself where it is worth registering. The owner, if there is one, is kept with it.
  ///
  /// Errors: busy while a transfer that ended early may still write into a target of the user's; those of registering.
  [[nodiscard]] result<registered_bytes*> land(landing& where, bytes_span target, std::shared_ptr<void> owner = nullptr) {
    if (owner == nullptr && calls_.may_be_written(target)) {
      return fail(errc::busy,
                  {.needed = target.size(), .what = "an earlier transfer timed out and may still write into the buffer: see quiescent()"});
    }
    where.memory = memory_.if_registered(target);
    where.target = target;
    where.owner = std::move(owner);
    if (where.memory.bytes.empty()) {
      const bool worth_it = target.size() >= options_.in_place_from;
      auto made = worth_it ? memory_.in_place(target) : memory_.room(target.size());
      if (!made) return fail(made.error());
      where.memory = std::move(*made);
    }
    if (!is_staged(where)) where.memory.belong_to(where.owner);
    return &where.memory;
  }

  /// Brings a value that has landed where it belongs.
  void arrive(landing& where) noexcept {
    const bool staged = is_staged(where);
    if (staged) copy_bytes(where.target.data(), where.memory.bytes.data(), where.target.size());
    submitter_.meter().took_path(staged ? payload_path::get_staged : payload_path::get_in_place, staged ? 1 : 0);
  }

 private:
  [[nodiscard]] static bool is_staged(const landing& where) noexcept { return where.memory.bytes.data() != where.target.data(); }

  [[nodiscard]] result<registered_bytes*> land_anywhere(landing& where, const protocol::meta& meta) {
    auto made = memory_.room(meta.size);
    if (!made) return fail(made.error());
    where.memory = std::move(*made);
    where.memory.lease.keep_from_peers();
    return &where.memory;
  }

  /// Whether memory is set aside for what the server says that it has.
  template <class T>
  [[nodiscard]] result<void> check(const protocol::meta& meta) const {
    if (meta.size > options_.largest_value) {
      return fail(errc::limit_exceeded,
                  {.needed = meta.size, .available = options_.largest_value, .what = "larger than store_client_options::largest_value"});
    }
    if (meta.kind == stored_kind_of<T>() && meta.schema == stored_schema_of<T>()) return {};
    return fail(errc::schema_mismatch, {.needed = stored_schema_of<T>(), .available = meta.schema, .what = "the value is of another type"});
  }

  template <class Run>
  void decode_all(std::size_t count, Run&& run) {
    options_.coders.run(count, run);  // what failed keeps the result that it began with
  }

  template <class T>
  [[nodiscard]] result<T> decode_packed(bytes_view packed) {
    const stage_timer timer(submitter_.meter(), stage::decode, packed.size());
    // All bytes were verified when they arrived; what lies in them is checked like any input.
    const auto items = unpack_from(packed, {.verify_checksum = false, .expected_schema = schema_of<T>()});
    if (!items) return fail(items.error());
    return lading::decode<T>(*items);
  }
  template <class T>
  [[nodiscard]] result<T> view_of(bytes_view bytes, const protocol::meta& meta) {
    if constexpr (std::same_as<T, tensor>) {
      return tensor::from_bytes(static_cast<dtype>(meta.dtype), meta.shape, bytes);
    } else if constexpr (std::same_as<T, tensor_view>) {
      return tensor_view::from_bytes(static_cast<dtype>(meta.dtype), meta.shape, bytes);
    } else if constexpr (stored_as_bytes<T>) {
      static_assert(!std::same_as<T, bytes_span>, "lading: what was fetched is read through a bytes_view");
      return T(bytes.begin(), bytes.end());
    } else {
      return decode_packed<T>(bytes);
    }
  }

  /// A contiguous value where it is, or a copy of it in the slab.
  template <class T>
  [[nodiscard]] result<outgoing_value> offer(const T& value) {
    outgoing_value made;
    bytes_view bytes;
    std::size_t size = 0;
    bool contiguous = true;
    const tensor_view* items = nullptr;
    if constexpr (stored_as_tensor<T>) {
      const tensor_view& view = value;
      if (!sendable(view)) return fail(errc::unsupported, {.what = foreign_byte_order});
      made.meta.kind = value_kind::tensor;
      made.meta.dtype = static_cast<std::uint8_t>(view.dtype());
      made.meta.shape.assign(view.shape().begin(), view.shape().end());
      items = &view;
      size = view.size_bytes();
      contiguous = view.contiguous();
      if (contiguous) bytes = bytes_view(view.data(), size);
    } else {
      bytes = bytes_view(value);
      size = bytes.size();
    }
    made.meta.size = size;
    if (contiguous) {
      // Safety: the transport only reads it.
      const bytes_span where(const_cast<std::byte*>(bytes.data()), size);
      made.memory = memory_.if_registered(where);
      if (made.memory.bytes.empty() && size >= options_.in_place_from) {
        auto memory = memory_.in_place(where);
        if (!memory) return fail(memory.error());
        made.memory = std::move(*memory);
      }
    }
    if (!made.memory.bytes.empty()) {
      const stage_timer timer(submitter_.meter(), stage::verify, size);
      made.meta.checksum = checksum_of_value(bytes, options_.hashers);
      submitter_.meter().took_path(payload_path::put_in_place, 0);
      return made;
    }
    auto memory = memory_.room(size);
    if (!memory) return fail(memory.error());
    made.memory = std::move(*memory);
    const stage_timer timer(submitter_.meter(), stage::pack, size);
    if (contiguous) {
      made.meta.checksum = copy_value_with_checksum(made.memory.bytes.data(), bytes, options_.hashers);
    } else {
      items->gather_to(made.memory.bytes.data(), 0, size);
      made.meta.checksum = checksum_of_value(made.memory.bytes, options_.hashers);
    }
    submitter_.meter().took_path(payload_path::put_staged, size == 0 ? 0 : 1);
    return made;
  }

  /// Encodes the objects straight into registered memory.
  template <class T>
  [[nodiscard]] result<void> encode(const scattered_objects<T>& objects, std::span<const wanted_value> wanted, std::vector<outgoing_value>& ready) {
    std::vector<registered_bytes> rooms;
    const auto allocate = [&](std::span<const std::size_t> sizes) -> result<std::vector<bytes_span>> {
      std::vector<bytes_span> slots;
      for (const std::size_t size : sizes) {
        auto room = memory_.room(size);
        if (!room) return fail(room.error());
        rooms.push_back(std::move(*room));
        slots.push_back(rooms.back().bytes);
      }
      return slots;
    };
    {
      stage_timer timer(submitter_.meter(), stage::encode);
      // The checksum of the whole buffer does for its payloads.
      const auto packed =
          batch_encode_into(objects, allocate, {.num_workers = options_.coders.size, .pool = options_.coders.pool, .checksum = false});
      if (!packed) return fail(packed.error());
      for (const std::size_t size : packed->sizes) timer.add_bytes(size);
    }
    for (std::size_t i = 0; i < rooms.size(); ++i) {
      outgoing_value& value = ready.emplace_back();
      value.index = wanted[i].index;
      value.key = wanted[i].key;
      value.meta.kind = value_kind::packed;
      value.meta.schema = schema_of<T>();
      value.meta.size = rooms[i].bytes.size();
      const stage_timer timer(submitter_.meter(), stage::verify, value.meta.size);
      value.meta.checksum = checksum_of_value(rooms[i].bytes, options_.hashers);
      value.memory = std::move(rooms[i]);
      submitter_.meter().took_path(payload_path::put_encoded, 1);
    }
    return {};
  }

  calls_type& calls_;
  memory_type& memory_;
  Submitter& submitter_;
  typed_options options_;
};

}  // namespace lading::detail
