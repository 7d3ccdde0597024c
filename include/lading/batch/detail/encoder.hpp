// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include <lading/batch/detail/shared_payload.hpp>
#include <lading/batch/detail/sharing.hpp>
#include <lading/batch/detail/slots.hpp>
#include <lading/batch/options.hpp>
#include <lading/codec/cursor.hpp>
#include <lading/core/bytes.hpp>
#include <lading/core/result.hpp>
#include <lading/pack/pack.hpp>

namespace lading::detail {

/// Objects of any range and type, so that all but their own encoding is compiled once for each layout.
struct object_list {
  const void* range = nullptr;
  std::size_t count = 0;
  result<std::size_t> (*plan)(const void* range, std::size_t index, const encode_options& options, std::vector<payload>& payloads) = nullptr;
  result<void> (*write)(const void* range, std::size_t index, const encode_options& options, bytes_span head) = nullptr;
  std::uint64_t schema = 0;
  bool fixed_size = false;     ///< every object takes as many bytes
  const void* data = nullptr;  ///< of a contiguous range
  std::size_t data_size = 0;   ///< in bytes
};

/// The steps of batch_encode_into: plan(), then the slots, then write().
template <packed_layout Layout>
class batch_encoder {
 public:
  batch_encoder(const object_list& objects, const batch_options& options, std::vector<std::size_t>& sizes)
      : objects_(objects), options_(options), sizes_(sizes), count_(objects.count) {}
  batch_encoder(const batch_encoder&) = delete;
  batch_encoder& operator=(const batch_encoder&) = delete;
  ~batch_encoder() { delete[] shared_; }

  /// Measures every object and finds its payloads: everything that can be refused is, before there are slots.
  [[nodiscard]] result<void> plan() {
    sizes_.resize(count_);
    planned_.resize(count_);
    // Objects of a fixed size take no time to plan, others some hundred bytes' worth.
    const work_sharing sharing(options_, objects_.fixed_size ? 0 : count_ * planning_cost);
    chunk_ = sharing.alone() ? count_ : (count_ - 1) / (sharing.workers() * pieces_per_worker) + 1;
    const std::size_t chunks = count_ == 0 ? 0 : (count_ - 1) / chunk_ + 1;
    payloads_.resize(chunks);
    if (sharing.alone()) return count_ == 0 ? result<void>{} : plan_chunk(0);
    return sharing.run(chunks, [this](std::size_t chunk) { return plan_chunk(chunk); });
  }

  /// Checks the slots against the plan; nothing has been written.
  [[nodiscard]] result<void> use(std::span<const bytes_span> slots) {
    slots_ = slots;
    slot_map map;
    if (const auto fine = map.assign(slots, sizes_); !fine) return fine;
    for (std::size_t i = 0; i < count_; ++i) {
      for (const payload& item : payloads_of(i)) {
        const bytes_view source = item.contiguous() ? bytes_view(item.data, item.size) : item.span_of(item.source);
        if (map.overlaps(source.data(), source.size())) [[unlikely]]
          return overlapped(i);
      }
    }
    if (map.overlaps(objects_.data, objects_.data_size)) return overlapped(error_details::unset);
    return {};
  }

  /// Fills the slots.
  [[nodiscard]] result<void> write() {
    for (const std::size_t size : sizes_) total_ += size;  // no overflow: the slots are there
    const work_sharing sharing(options_, total_);
    if (sharing.alone()) {
      std::uint64_t item = 0;
      return guarded_item(item, [&] { return write_objects(0, count_, item); });
    }
    return write_shared(sharing);
  }

 private:
  static constexpr bool checked_layout = Layout::has_checksum;
  static constexpr std::size_t planning_cost = 512;  ///< bytes that could be copied while one object is planned
  static constexpr std::size_t least_shared = std::size_t{2} << 20;

  struct planned_object {
    std::size_t head_size = 0;
    std::size_t first_payload = 0;  ///< in its chunk's list
    std::size_t payload_count = 0;
  };

  /// What one thread does at a time: whole objects, or parts of one (part 0 is the head, part i its payload i - 1), or help with shared payloads.
  struct piece {
    std::size_t first = 0;       ///< object
    std::size_t last = 0;        ///< behind the last object, where there are no parts
    std::size_t first_part = 0;  ///< of object `first`
    std::size_t last_part = 0;
    std::size_t end = 0;               ///< where the part before first_part ends in its slot
    shared_payload* shared = nullptr;  ///< the one part is this
    bool helps = false;
  };

  [[nodiscard]] std::span<const payload> payloads_of(std::size_t index) const noexcept {
    const planned_object& planned = planned_[index];
    if (planned.payload_count == 0) return {};
    return {payloads_[index / chunk_].data() + planned.first_payload, planned.payload_count};
  }
  [[nodiscard]] bool checked() const noexcept { return checked_layout && options_.checksum; }

  LADING_COLD static failure overlapped(std::uint64_t index) {
    return fail(errc::invalid_argument, {.item = index, .what = "what is to be encoded lies inside a slot: encode into other memory"});
  }

  [[nodiscard]] result<void> plan_chunk(std::size_t chunk) {
    const std::size_t first = chunk * chunk_, last = count_ - first < chunk_ ? count_ : first + chunk_;
    std::vector<payload>& payloads = payloads_[chunk];
    std::uint64_t item = first;
    return guarded_item(item, [&]() -> result<void> {
      for (std::size_t i = first; i < last; ++i) {
        item = i;
        const std::size_t before = payloads.size();
        const auto head_size = objects_.plan(objects_.range, i, options_.encode, payloads);
        if (!head_size) return fail(head_size.error().with_item(i));
        planned_[i] = {*head_size, before, payloads.size() - before};
        const auto size = packed_size(*head_size, {payloads.data() + before, payloads.size() - before});
        if (!size) return fail(size.error().with_item(i));
        sizes_[i] = *size;
      }
      return {};
    });
  }

  [[nodiscard]] static result<std::size_t> packed_size(std::size_t head_size, std::span<const payload> payloads) {
    using cursor_type = payload_cursor<Layout>;
    const std::size_t count = payloads.size() + 1;
    if (!cursor_type::fits(count)) return packed_size_overflow(count, cursor_type::limit / Layout::entry_size, error_details::unset);
    cursor_type cursor(count);
    std::size_t offset;
    if (!cursor.place(head_size, offset)) return packed_size_overflow(head_size, cursor_type::limit - cursor.end(), error_details::unset);
    for (const payload& item : payloads) {
      if (!cursor.place(item.size, offset)) return packed_size_overflow(item.size, cursor_type::limit - cursor.end(), error_details::unset);
    }
    return cursor.end();
  }

  [[nodiscard]] std::size_t table_end(std::size_t index) const noexcept {
    return Layout::header_size + Layout::entry_size * (planned_[index].payload_count + 1);
  }
  [[nodiscard]] std::size_t part_size(std::size_t index, std::size_t part) const noexcept {
    return part == 0 ? planned_[index].head_size : payloads_of(index)[part - 1].size;
  }
  [[nodiscard]] static std::size_t place_after(std::size_t end) noexcept { return align_up<std::size_t>(end, Layout::payload_alignment); }

  [[nodiscard]] result<void> write_objects(std::size_t first, std::size_t last, std::uint64_t& item) const {
    for (std::size_t i = first; i < last; ++i) {
      item = i;
      if (auto done = write_parts(i, 0, planned_[i].payload_count + 1, table_end(i)); !done) return done;
      write_header(i);
    }
    return {};
  }

  /// Writes parts of one object with their table entries and the zeros before them.
  [[nodiscard]] result<void> write_parts(std::size_t index, std::size_t first, std::size_t last, std::size_t end) const {
    std::byte* const base = slots_[index].data();
    const std::span<const payload> payloads = payloads_of(index);
    for (std::size_t part = first; part < last; ++part) {
      const std::size_t size = part == 0 ? planned_[index].head_size : payloads[part - 1].size;
      const std::size_t offset = place_after(end);
      std::memset(base + end, 0, offset - end);
      std::uint64_t hash = 0;
      if (part == 0) {
        if (const auto written = objects_.write(objects_.range, index, options_.encode, {base + offset, size}); !written) {
          return fail(written.error().with_item(index));
        }
        if (checked()) hash = checksum_of(base + offset, size);
      } else {
        hash = write_payload(payloads[part - 1], base + offset, pack_copy_mode(total_, size), checked());
      }
      write_entry(index, part, offset, size, hash);
      end = offset + size;
    }
    return {};
  }

  void write_entry(std::size_t index, std::size_t part, std::size_t offset, std::size_t size, std::uint64_t hash) const noexcept {
    Layout::write_entry(slots_[index].data() + Layout::header_size + Layout::entry_size * part, {offset, size, hash});
  }
  void write_header(std::size_t index) const noexcept {
    Layout::write_header(slots_[index].data(), {.count = planned_[index].payload_count + 1,
                                                .size = sizes_[index],
                                                .schema = Layout::has_schema ? objects_.schema : 0,
                                                .checked = checked()});
  }

  [[nodiscard]] result<void> write_shared(const work_sharing& sharing) {
    if (const auto fine = guarded_item(no_item_, [&]() -> result<void> { return split(sharing), result<void>{}; }); !fine) return fine;
    const auto done = sharing.run(pieces_.size(), [this](std::size_t index) -> result<void> {
      const piece& todo = pieces_[index];
      if (todo.helps) {
        for (std::size_t i = 0; i < shared_count_; ++i) shared_[i].write_back();
        return {};
      }
      if (todo.shared != nullptr) return todo.shared->write_front(), result<void>{};
      std::uint64_t item = todo.first;
      return guarded_item(item, [&] {
        return todo.last_part == 0 ? write_objects(todo.first, todo.last, item) : write_parts(todo.first, todo.first_part, todo.last_part, todo.end);
      });
    });
    if (!done) return done;
    for (const piece& part : pieces_) {
      if (part.shared == nullptr) continue;
      const std::size_t offset = place_after(part.end);
      std::memset(slots_[part.first].data() + part.end, 0, offset - part.end);
      write_entry(part.first, part.first_part, offset, part_size(part.first, part.first_part), part.shared->hash());
    }
    for (const piece& part : pieces_) {
      if (part.last_part != 0 && part.first_part == 0) write_header(part.first);
    }
    return {};
  }

  [[nodiscard]] bool is_shared(std::size_t size, const work_sharing& sharing) const noexcept {
    return size >= least_shared && size > 2 * sharing.piece();
  }

  /// Cuts the work into pieces of about as many bytes each, in the order of the objects.
  void split(const work_sharing& sharing) {
    const std::size_t enough = sharing.piece();
    std::size_t taken = 0;
    for (const std::vector<payload>& list : payloads_) {
      for (const payload& item : list)
        if (is_shared(item.size, sharing)) ++shared_count_;
    }
    if (shared_count_ != 0) shared_ = new shared_payload[shared_count_];
    shared_payload* shared = shared_;
    for (std::size_t i = 0; i < count_; ++i) {
      if (sizes_[i] <= 2 * enough || planned_[i].payload_count == 0) {
        if (taken == 0 || taken + sizes_[i] > enough + enough / 2) {
          pieces_.push_back({.first = i});
          taken = 0;
        }
        pieces_.back().last = i + 1;
        taken += sizes_[i];
        continue;
      }
      taken = 0;
      std::size_t end = table_end(i), taken_parts = 0;
      for (std::size_t part = 0; part <= planned_[i].payload_count; ++part) {
        const std::size_t size = part_size(i, part);
        const bool alone = part != 0 && is_shared(size, sharing);
        if (alone || taken_parts == 0 || taken_parts + size > enough + enough / 2) {
          pieces_.push_back({.first = i, .first_part = part, .end = end});
          taken_parts = 0;
        }
        pieces_.back().last_part = part + 1;
        const std::size_t offset = place_after(end);
        if (alone) {
          shared->assign(payloads_of(i)[part - 1], slots_[i].data() + offset, pack_copy_mode(total_, size), checked());
          pieces_.back().shared = shared++;
        } else {
          taken_parts += size;
        }
        end = offset + size;
      }
    }
    if (shared_count_ != 0) {
      for (std::size_t i = 1; i < sharing.workers(); ++i) pieces_.push_back({.helps = true});
    }
  }

  const object_list& objects_;
  const batch_options& options_;
  std::vector<std::size_t>& sizes_;
  std::size_t count_;
  std::size_t chunk_ = 1;  ///< objects that are planned together
  std::size_t total_ = 0;
  std::span<const bytes_span> slots_;
  std::vector<planned_object> planned_;
  std::vector<std::vector<payload>> payloads_;  ///< of each chunk
  std::vector<piece> pieces_;
  shared_payload* shared_ = nullptr;
  std::size_t shared_count_ = 0;
  static constexpr std::uint64_t no_item_ = error_details::unset;
};

}  // namespace lading::detail
