// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <lading/batch/detail/encoder.hpp>
#include <lading/batch/detail/sharing.hpp>
#include <lading/batch/options.hpp>
#include <lading/codec/encode.hpp>
#include <lading/codec/schema.hpp>
#include <lading/core/bytes.hpp>
#include <lading/core/result.hpp>
#include <lading/pack/pack.hpp>

// Many values and as many packed buffers, in slots of the caller's.

namespace lading {

/// Objects of a batch: any sized random-access range.
template <class Objects>
concept object_range = requires(const Objects& objects, std::ptrdiff_t index) {
  { std::size(objects) } -> std::convertible_to<std::size_t>;
  std::begin(objects)[index];
};

/// What batch_encode_into gets its slots from.
template <class Allocate>
concept slot_allocator = requires(Allocate&& allocate, std::span<const std::size_t> sizes) {
  { std::forward<Allocate>(allocate)(sizes) } -> std::convertible_to<result<std::vector<bytes_span>>>;
};

namespace detail {

/// The objects of a range, as the encoder takes them.
template <class Objects>
struct objects_of {
  using reference = decltype(std::begin(std::declval<const Objects&>())[0]);
  using object = std::remove_cvref_t<reference>;

  [[nodiscard]] LADING_ALWAYS_INLINE static reference at(const void* range, std::size_t index) {
    return std::begin(*static_cast<const Objects*>(range))[static_cast<std::ptrdiff_t>(index)];
  }
  [[nodiscard]] static object_list list(const Objects& objects) {
    object_list made{.range = &objects,
                     .count = std::size(objects),
                     .plan = [](const void* range, std::size_t index, const encode_options& options,
                                std::vector<payload>& payloads) { return plan_frames(at(range, index), options, payloads); },
                     .write = [](const void* range, std::size_t index, const encode_options& options,
                                 bytes_span head) { return write_head(at(range, index), options, head); },
                     .schema = schema_of<object>(),
                     .fixed_size = wire_of<object>::fixed};
    if constexpr (requires {
                    { std::data(objects) } -> std::convertible_to<const void*>;
                  }) {
      made.data = std::data(objects);
      made.data_size = made.count * sizeof(object);
    }
    return made;
  }
};

}  // namespace detail

/// Encodes every object and packs it into a slot of its own, with schema_of its type where the layout has a place for it.
///
/// `objects` is any sized random-access range. `allocate` is called once, with the size of each packed buffer in order, and returns as many
/// bytes_span, or a result of them: at any address and alignment, in any order, and as large as or larger than asked for. What lies behind
/// a packed buffer in its slot stays as it is.
///
/// Errors:     of an object, with its index as item: as encode (and as there, deep values need a reader's consent) and calc_packed_size; no_memory and invalid_value for an exception that it
///             throws. The allocator's own error; invalid_argument for another number of slots, slots that overlap one another or an
///             out-of-band array, buffer_too_small. Until then nothing has been written. After an error from a codec<T> that does not give the
///             same twice (invalid_argument), slots hold unspecified bytes. It is the first error by object, for any number of workers.
/// Lifetime:   the batch borrows the slots, nothing from the objects.
/// Threads:    objects are read by options.num_workers threads at once. May itself run in a task of the same pool.
/// Complexity: one pass over the structure to plan, one over all bytes; a constant number of allocations for batches without large arrays, and
///             amortised constant for each with.
template <class Layout = layout::aligned, class Objects, class Allocate>
[[nodiscard]] result<packed_batch> batch_encode_into(const Objects& objects, Allocate&& allocate, const batch_options& options = {}) {
  static_assert(packed_layout<Layout>, "lading: the layout does not satisfy packed_layout; layout::aligned is one to copy");
  static_assert(object_range<Objects>, "lading: the objects of a batch are a sized random-access range, such as a std::vector or std::span");
  static_assert(slot_allocator<Allocate>,
                "lading: the allocator takes std::span<const std::size_t> and returns std::vector<bytes_span>, or a result of it");
  using range = detail::objects_of<Objects>;
  static_assert(std::is_lvalue_reference_v<typename range::reference> ||
                    (!detail::owns_payload<typename range::object> && !detail::gathers<typename range::object>),
                "lading: this range makes its objects anew each time, so their arrays cannot be borrowed: put the objects into a std::vector");
  const std::uint64_t no_item = error_details::unset;
  return detail::guarded_item(no_item, [&]() -> result<packed_batch> {
    packed_batch batch;
    const detail::object_list list = range::list(objects);
    detail::batch_encoder<Layout> encoder(list, options, batch.sizes);
    if (const auto planned = encoder.plan(); !planned) return fail(planned.error());
    result<std::vector<bytes_span>> slots = std::forward<Allocate>(allocate)(std::span<const std::size_t>(batch.sizes));
    if (!slots) return fail(slots.error());
    batch.buffers = std::move(*slots);
    if (const auto fine = encoder.use(batch.buffers); !fine) return fail(fine.error());
    if (const auto written = encoder.write(); !written) return fail(written.error());
    return batch;
  });
}

}  // namespace lading
