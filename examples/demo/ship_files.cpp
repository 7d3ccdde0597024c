// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cargo.hpp"
#include "safetensors.hpp"
#include "ship.hpp"

namespace demo {

// What the file modes send and receive. file_tensor borrows; this is its owning twin.
struct owned_tensor {
  std::string name;
  lading::tensor data;
};
struct tensor_in_buffer {
  std::string_view name;
  lading::tensor_view data;
};

struct file_bytes {
  std::string_view name;
  lading::bytes_view data;
};
struct owned_bytes {
  std::string name;
  std::vector<std::byte> data;
};

// Found by their arguments' namespace, which is why they are outside the unnamed one.
static bool same(const file_tensor& sent, const owned_tensor& received) { return sent.name == received.name && sent.data == received.data.view(); }
static bool same(const file_tensor& sent, const tensor_in_buffer& received) { return sent.name == received.name && sent.data == received.data; }

template <class Received>
static bool same(const file_bytes& sent, const Received& received) {
  return sent.name == received.name && sent.data.size() == received.data.size() &&
         (sent.data.empty() || std::memcmp(sent.data.data(), received.data.data(), sent.data.size()) == 0);
}

void ship_safetensors(const arguments& given, report& told) {
  const std::vector<mapped_file> files = open_all(given.safetensors);
  std::vector<file_tensor> tensors;
  for (const mapped_file& file : files) {
    for (file_tensor& each : read_safetensors(file.path(), file.bytes())) tensors.push_back(std::move(each));
  }
  if (tensors.empty()) throw problem(files.front().path() + ": holds no tensor, so there is nothing to ship");
  told.cargo = names_of(given.safetensors) + ": " + std::to_string(tensors.size()) + (tensors.size() == 1 ? " tensor" : " tensors");
  ship_values<owned_tensor, tensor_in_buffer>(std::span<const file_tensor>(tensors), given.options, told);
}

void ship_files(const arguments& given, report& told) {
  const std::vector<mapped_file> files = open_all(given.files);
  std::vector<file_bytes> values;
  for (const mapped_file& file : files) values.push_back({file.path(), file.bytes()});
  told.cargo = names_of(given.files);
  ship_values<owned_bytes, file_bytes>(std::span<const file_bytes>(values), given.options, told);
}

}  // namespace demo
