// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// What every transport must do, as GoogleTest suites. To run them on your own:
//
//   struct my_rig {
//     using transport_type = my_transport;
//     lading::result<my_transport> make(const lading::endpoint_options& options);   // a fresh endpoint of one test
//   };
//   LADING_CONFORMANCE(mine, my_rig);
//
// A rig may also have static members `largest_slice` (bytes, 64 MiB unless told), `many_slices` (100,000), `connection_cycles` (10,000), and
// a member `std::unique_ptr<lading::conformance::foreign_peer> spawn_peer(std::size_t region_size)` that starts a peer in a process of its own.
// With `static constexpr bool shares_regions = true` the suite's regions are allocated, and those of a stopped peer can be reached; a function
// `static std::string unavailable()` says what the host lacks, and nothing where it lacks nothing.
// A case that the transport's capabilities or the rig exclude reports skipped, with the reason.

#include <transport/conformance/data.hpp>
#include <transport/conformance/endings.hpp>
#include <transport/conformance/peers.hpp>
#include <transport/conformance/processes.hpp>
#include <transport/conformance/refusals.hpp>

#define LADING_CONFORMANCE(name, ...)                                                        \
  INSTANTIATE_TYPED_TEST_SUITE_P(name, conformance_data, ::testing::Types<__VA_ARGS__>);     \
  INSTANTIATE_TYPED_TEST_SUITE_P(name, conformance_refusals, ::testing::Types<__VA_ARGS__>); \
  INSTANTIATE_TYPED_TEST_SUITE_P(name, conformance_endings, ::testing::Types<__VA_ARGS__>);  \
  INSTANTIATE_TYPED_TEST_SUITE_P(name, conformance_peers, ::testing::Types<__VA_ARGS__>);    \
  INSTANTIATE_TYPED_TEST_SUITE_P(name, conformance_processes, ::testing::Types<__VA_ARGS__>)
