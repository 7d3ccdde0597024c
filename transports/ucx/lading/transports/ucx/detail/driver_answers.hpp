// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// ucx_driver: how requests are answered, on either side.

#include <lading/transports/ucx/driver.hpp>

namespace lading::detail {

// --- of the peer's requests

/// What ended well in one round is told in one message, for each of them costs the peer as much as many a request.
inline void ucx_driver::answer(ucx_wire& wire, const ucx_head& asked, const result<void>& how) noexcept {
  if (how) {
    LADING_TRY {
      wire.well_done.reserve(ucx_answers_at_once);
      if (wire.well_done.empty()) to_tell_.push_back(&wire);
      wire.well_done.push_back(asked.request);
    }
    LADING_CATCH_BAD_ALLOC(return doom(wire, errc::no_memory))
    if (wire.well_done.size() >= ucx_answers_at_once) tell_well_done(wire);
    return;
  }
  refuse(how.error());
  if (wire.outstanding >= max_outstanding) return doom(wire, errc::backend_failure);
  say(wire, {.kind = ucx_kind::answer, .wire = wire.remote_number, .request = asked.request, .size = static_cast<std::uint64_t>(how.error().code())});
}

inline void ucx_driver::tell_well_done(ucx_wire& wire) noexcept {
  const std::size_t count = wire.well_done.size();
  std::erase(to_tell_, &wire);
  if (count == 0 || !wire.alive()) return wire.well_done.clear();
  if (wire.outstanding >= max_outstanding) return doom(wire, errc::backend_failure);
  LADING_TRY {
    ucx_outgoing* const message = new_outgoing(wire);
    ucx_head head{.kind = ucx_kind::answer, .wire = wire.remote_number, .request = wire.well_done.front()};
    if (count > 1) {
      head.count = static_cast<std::uint32_t>(count);
      message->payload.resize(count * sizeof(std::uint64_t));
      for (std::size_t i = 0; i < count; ++i) store_little(message->payload.data() + i * sizeof(std::uint64_t), wire.well_done[i]);
    }
    wire.well_done.clear();
    head.store(message->head);
    send(*message, message->payload, UCP_AM_SEND_FLAG_EAGER);
  }
  LADING_CATCH_BAD_ALLOC(doom(wire, errc::no_memory))
}

// --- of this side's

inline void ucx_driver::take_well_done(ucx_slot& slot) noexcept {
  slot.answered = true;
  if (slot.kind == ucx_kind::get || slot.kind == ucx_kind::get_many)
    slot.how = fail(errc::backend_failure, {.what = "the peer answered a get without its bytes"});
  settle(slot);
}

inline void ucx_driver::take_answer(ucx_wire& wire, const ucx_head& head, bytes_view payload) noexcept {
  if (head.count != 0) {
    if (payload.size() != std::uint64_t{head.count} * sizeof(std::uint64_t)) return;
    for (; !payload.empty(); payload = payload.subspan(sizeof(std::uint64_t))) {
      ucx_slot* const slot = wire.find_slot(load_little<std::uint64_t>(payload.data()));
      if (slot != nullptr && !slot->answered) take_well_done(*slot);
    }
    return;
  }
  ucx_slot* const slot = wire.find_slot(head.request);
  if (slot == nullptr || slot->answered) return;
  const auto known = [](std::uint64_t number) {
    const auto code = static_cast<errc>(number);
    return number == 0 || (number <= 0xffff && name_of(code) != "unknown") ? code : errc::backend_failure;
  };
  const errc code = known(head.size);
  const std::size_t codes = 2 * slot->count;
  const bool fits =
      (slot->kind == ucx_kind::put_many && payload.size() == codes) || (slot->kind == ucx_kind::get_many && payload.size() == codes + slot->bytes);
  if (code == errc{} && payload.empty()) return take_well_done(*slot);
  slot->answered = true;
  if (code != errc{}) {
    slot->how = fail(code, {.what = "the peer refused the slice"});
  } else if (!fits) {
    slot->how = fail(errc::backend_failure, {.what = "the peer's answer does not fit the request"});
  } else {
    LADING_TRY {
      slot->each.resize(slot->count);
      bool any = false;
      for (std::size_t i = 0; i < slot->count; ++i) {
        slot->each[i] = known(load_little<std::uint16_t>(payload.data() + 2 * i));
        any = any || slot->each[i] != errc{};
      }
      if (!any) slot->each.clear();
      if (slot->kind == ucx_kind::get_many) return take_data(*slot, payload.subspan(codes));
    }
    LADING_CATCH_BAD_ALLOC(slot->how = fail(errc::no_memory))
  }
  settle(*slot);
}

/// The bytes of a get that came in one piece; of refused records nothing is taken.
inline void ucx_driver::take_data(ucx_slot& slot, bytes_view payload) noexcept {
  slot.answered = true;
  if (slot.token != nullptr) {  // else it was given up, and its memory may be another's
    std::size_t at = 0;
    for (std::size_t i = 0; i < slot.targets.size(); ++i) {
      const bytes_span target = slot.targets[i];
      const bool good = slot.each.empty() || slot.each[i] == errc{};
      if (good && !target.empty()) std::memcpy(target.data(), payload.data() + at, target.size());
      at += target.size();
    }
  }
  settle(slot);
}

}  // namespace lading::detail
