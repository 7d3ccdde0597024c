// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

// Payloads, buffers and files that the tests of packing share.

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <lading/pack/pack.hpp>
#include <lading/pack/transfer_queue.hpp>
#include <lading/pack/unpack.hpp>

#include "support/large_memory.hpp"

// Bytes in hexadecimal stay as they are grouped.
// clang-format off

namespace pack_test {

using bytes = std::vector<std::byte>;
using lading::bytes_span;
using lading::bytes_view;
using lading::errc;
using lading::layout::aligned;
using lading::layout::transfer_queue;

/// Byte i of payload n of the golden buffers.
inline bytes payload(std::size_t item, std::size_t size) {
  bytes made(size);
  for (std::size_t i = 0; i < size; ++i) made[i] = static_cast<std::byte>(item * 131 + i * 31 + 7);
  return made;
}

inline std::vector<bytes> payloads(const std::vector<std::size_t>& sizes) {
  std::vector<bytes> made;
  for (const std::size_t size : sizes) made.push_back(payload(made.size(), size));
  return made;
}

/// Payload sizes around every edge: of alignment, of hashing, of copying, of counts. Thirty-six buffers of each layout.
inline std::vector<std::vector<std::size_t>> size_sets() {
  std::vector<std::vector<std::size_t>> sets{
      {}, {0}, {1}, {2}, {5}, {31}, {63}, {64}, {65}, {127}, {128}, {129}, {240}, {241}, {1024}, {1500},
      {0, 0}, {0, 1}, {1, 0}, {64, 64}, {63, 65}, {5, 0, 64, 65}, {0, 0, 0, 0, 0}, {1, 2, 3, 4, 5, 6, 7, 8, 9},
      {62, 512, 64, 51, 57, 55, 55}, {300, 0, 300}, {64, 0}, {0, 64}, {65, 0, 0, 1}, {3, 3, 3, 3}, {16, 16}, {191, 96, 24, 4, 2},
      {205, 512, 512}, std::vector<std::size_t>(20, 1), std::vector<std::size_t>(33, 0), {7, 700}};
  return sets;
}

template <class Layout = aligned>
bytes packed_items(const std::vector<bytes>& items, const lading::pack_options& options = {}) {
  bytes target(lading::calc_packed_size<Layout>(items).value());
  EXPECT_EQ(lading::pack_into<Layout>(target, items, options), target.size());
  return target;
}

template <class Layout = aligned>
bytes packed(const std::vector<std::size_t>& sizes, const lading::pack_options& options = {}) {
  return packed_items<Layout>(payloads(sizes), options);
}

inline bytes owned(bytes_view view) { return {view.begin(), view.end()}; }

/// The payloads of an unpacked buffer, copied.
inline std::vector<bytes> owned(const lading::unpacked& items) {
  std::vector<bytes> copies;
  for (const bytes_view item : items) copies.push_back(owned(item));
  return copies;
}

/// Whether a buffer is accepted, and how many payloads it has.
template <class Layout = aligned>
lading::result<std::size_t> try_unpack(const bytes& buffer, const lading::unpack_options& options = {}) {
  const auto read = lading::unpack_from<Layout>(buffer, options);
  if (!read) return lading::fail(read.error());
  return read->size();
}

/// A copy at its exact size, so that the address sanitizer sees a read behind it.
inline bytes exact(bytes_view view) { return owned(view); }

inline std::string data_path(const std::string& name) { return std::string(LADING_TEST_DATA "/") + name; }

inline bytes file_bytes(const std::string& name) {
  std::ifstream file(data_path(name), std::ios::binary);
  EXPECT_TRUE(file.good()) << name << " is missing";
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  bytes content(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) content[i] = static_cast<std::byte>(text[i]);
  return content;
}

/// The lines of a manifest that begin with `kind`, split at blanks into at most `fields` fields; comments left out.
inline std::vector<std::vector<std::string>> manifest(const std::string& name, const std::string& kind, std::size_t fields) {
  std::ifstream file(data_path(name));
  EXPECT_TRUE(file.good()) << name << " is missing";
  std::vector<std::vector<std::string>> lines;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line.front() == '#' || !line.starts_with(kind)) continue;
    std::istringstream words(line);
    std::vector<std::string> split(fields);
    for (std::size_t i = 0; i + 1 < fields; ++i) words >> split[i];
    std::getline(words >> std::ws, split[fields - 1]);
    lines.push_back(std::move(split));
  }
  EXPECT_FALSE(lines.empty()) << name;
  return lines;
}

inline std::vector<std::size_t> sizes_of(const std::string& list) {
  std::vector<std::size_t> sizes;
  if (list == "none") return sizes;
  std::istringstream words(list);
  for (std::string word; std::getline(words, word, ',');) sizes.push_back(std::stoul(word));
  return sizes;
}

/// Expects a failure with `code` whose message has `fragment`.
template <class Result>
void expect_error(const Result& result, errc code, const std::string& fragment) {
  ASSERT_FALSE(result.has_value()) << "expected " << lading::name_of(code);
  EXPECT_EQ(lading::name_of(result.error().code()), lading::name_of(code)) << result.error().message();
  EXPECT_NE(result.error().message().find(fragment), std::string::npos) << result.error().message() << " lacks: " << fragment;
}

using lading_test::zeros;

}  // namespace pack_test
