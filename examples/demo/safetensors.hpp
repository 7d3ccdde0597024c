// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <lading/codec/tensor/tensor_view.hpp>
#include <lading/core/bytes.hpp>

namespace demo {

/// One tensor of a file.
struct file_tensor {
  std::string name;
  lading::tensor_view data;
};

/// The tensors of a safetensors file, in the order of their data, which is borrowed from `file`, its bytes.
///
/// The file is a 64-bit length, a header of that length in JSON, and the data; everything that the header says is checked against the rest:
/// names are unique, the tensors cover the data without overlap or gap, and dtype and shape ask for exactly the bytes given.
/// Throws a problem that names `path`, the tensor and what is wrong. Shape: any rank, 0-d and empty tensors included.
[[nodiscard]] std::vector<file_tensor> read_safetensors(std::string_view path, lading::bytes_view file);

}  // namespace demo
