// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <string_view>

#include <lading/core/result.hpp>
#include <lading/transport/identity.hpp>

namespace lading {

/// How a group of slices is moved.
enum class strategy : std::uint8_t {
  transport,  ///< by the transport
  local,      ///< by memcpy: both sides are in this process
};
inline constexpr std::size_t strategy_count = 2;
inline constexpr std::array<std::string_view, strategy_count> strategy_names{"transport", "local"};

[[nodiscard]] constexpr std::string_view name_of(strategy how) noexcept { return strategy_names[static_cast<std::size_t>(how)]; }

/// The strategy of that name.
///
/// Errors: invalid_argument for any other word, the empty one included: a misspelt setting is never taken for one.
[[nodiscard]] inline result<strategy> strategy_of(std::string_view name) noexcept {
  for (std::size_t i = 0; i < strategy_count; ++i) {
    if (strategy_names[i] == name) return static_cast<strategy>(i);
  }
  return fail(errc::invalid_argument, {.what = "no strategy has this name: transport and local have"});
}

/// What a selector decides by.
struct route {
  endpoint_identity self, peer;
  std::string_view transport = {};  ///< its name
  std::uint64_t bytes = 0;          ///< of the group
  bool addressable = false;         ///< all its memory can be reached from here: without, there is only the transport
};

/// Chooses between the ways that there are.
template <class Candidate>
concept strategy_selector = requires(const Candidate& choose, const route& way) {
  { choose(way) } noexcept -> std::same_as<strategy>;
};

/// Peers of this process, by its random number and never by address, are copied to; all others go by the transport.
struct select_by_process {
  [[nodiscard]] strategy operator()(const route& way) const noexcept {
    return way.addressable && way.self.process == way.peer.process ? strategy::local : strategy::transport;
  }
};

/// Always one.
struct select_always {
  strategy chosen = strategy::transport;
  [[nodiscard]] strategy operator()(const route&) const noexcept { return chosen; }
};

static_assert(strategy_selector<select_by_process> && strategy_selector<select_always>);

}  // namespace lading
