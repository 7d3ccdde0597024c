// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#include "safetensors.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <set>
#include <string_view>
#include <tuple>

#include <nlohmann/json.hpp>

#include <support/problem.hpp>

namespace demo {

using support::problem;

namespace {

using json = nlohmann::json;

constexpr std::size_t length_size = 8;
constexpr std::uint64_t max_header = 100'000'000;  // what the format's own readers accept
constexpr int max_depth = 3;                       // header, tensor, shape

struct dtype_name {
  std::string_view name;
  lading::dtype type;
};
constexpr std::array dtype_names{
    dtype_name{"BOOL", lading::dtype::boolean},
    dtype_name{"U8", lading::dtype::uint8},
    dtype_name{"U16", lading::dtype::uint16},
    dtype_name{"U32", lading::dtype::uint32},
    dtype_name{"U64", lading::dtype::uint64},
    dtype_name{"I8", lading::dtype::int8},
    dtype_name{"I16", lading::dtype::int16},
    dtype_name{"I32", lading::dtype::int32},
    dtype_name{"I64", lading::dtype::int64},
    dtype_name{"F16", lading::dtype::float16},
    dtype_name{"BF16", lading::dtype::bfloat16},
    dtype_name{"F32", lading::dtype::float32},
    dtype_name{"F64", lading::dtype::float64},
    dtype_name{"F8_E4M3", lading::dtype::float8_e4m3fn},
    dtype_name{"F8_E5M2", lading::dtype::float8_e5m2},
    dtype_name{"F8_E8M0", lading::dtype::float8_e8m0fnu},
    dtype_name{"F8_E4M3FNUZ", lading::dtype::float8_e4m3fnuz},
    dtype_name{"F8_E5M2FNUZ", lading::dtype::float8_e5m2fnuz},
    dtype_name{"C64", lading::dtype::complex64},
};

/// Text of the file as it may be shown on one line: short, and nothing that a terminal would obey.
std::string shown(std::string_view text) {
  std::string safe;
  for (const char letter : text.substr(0, 60)) safe += static_cast<unsigned char>(letter) < 0x20 || letter == 0x7f ? '?' : letter;
  return '"' + safe + (text.size() > 60 ? "...\"" : "\"");
}

class reader {
 public:
  reader(std::string_view path, lading::bytes_view file) : path_(path), file_(file) {}

  std::vector<file_tensor> read() {
    const lading::bytes_view text = find_header();
    const json header = parse(text);
    if (!header.is_object()) refuse("the header is not a JSON object");
    std::vector<placed> found;
    for (const auto& [name, entry] : header.items()) {
      if (name == "__metadata__") {
        check_metadata(entry);
      } else {
        found.push_back(read_entry(name, entry));
      }
    }
    check_cover(found);
    std::vector<file_tensor> tensors;
    for (placed& each : found) tensors.push_back(std::move(each.tensor));
    return tensors;
  }

 private:
  struct placed {
    std::uint64_t begin, end;  // bytes, from the start of the data
    file_tensor tensor;
  };

  [[noreturn]] void refuse(const std::string& what) const { throw problem(std::string(path_) + ": not a valid safetensors file: " + what); }
  [[noreturn]] void refuse_tensor(const std::string& name, const std::string& what) const { refuse("tensor " + shown(name) + ": " + what); }

  lading::bytes_view find_header() {
    const lading::bytes_view all = file_;
    if (all.size() < length_size) refuse("truncated: it has " + std::to_string(all.size()) + " bytes, the header's length alone takes 8");
    std::uint64_t length = 0;  // little-endian on every host
    for (std::size_t i = 0; i < length_size; ++i) length |= std::to_integer<std::uint64_t>(all[i]) << (8 * i);
    if (length > max_header)
      refuse("the header is too large: " + std::to_string(length) + " bytes, at most " + std::to_string(max_header) + " are read");
    if (length > all.size() - length_size) {
      refuse("truncated: the header takes " + std::to_string(length) + " bytes, " + std::to_string(all.size() - length_size) + " are there");
    }
    if (length == 0) refuse("the header is empty");
    data_ = all.subspan(length_size + static_cast<std::size_t>(length));
    return all.subspan(length_size, static_cast<std::size_t>(length));
  }

  /// A name that occurs twice is refused here, because the parsed object would no longer show it.
  json parse(lading::bytes_view text) {
    std::vector<std::set<std::string>> names;  // of the objects around the current place
    const auto watch = [&](int depth, json::parse_event_t event, json& parsed) {
      if (depth > max_depth) refuse("the header is nested too deeply");
      if (event == json::parse_event_t::object_start) names.emplace_back();
      if (event == json::parse_event_t::object_end) names.pop_back();
      if (event == json::parse_event_t::key && !names.back().insert(parsed.get<std::string>()).second) {
        refuse("the name " + shown(parsed.get<std::string>()) + " occurs twice");
      }
      return true;
    };
    // Safety: characters may alias anything.
    const auto* const begin = reinterpret_cast<const char*>(text.data());
    try {
      return json::parse(begin, begin + text.size(), watch);
    } catch (const json::parse_error& wrong) {
      refuse("the header is not JSON: wrong at byte " + std::to_string(wrong.byte) + " of " + std::to_string(text.size()));
    } catch (const json::exception& wrong) {
      refuse("the header is not JSON: " + std::string(wrong.what()));
    }
  }

  void check_metadata(const json& entry) const {
    if (!entry.is_object()) refuse("__metadata__ is not an object");
    for (const auto& [key, value] : entry.items()) {
      if (!value.is_string()) refuse("__metadata__ " + shown(key) + " is not a string");
    }
  }

  placed read_entry(const std::string& name, const json& entry) const {
    if (!entry.is_object()) refuse_tensor(name, "is not described by an object");
    const lading::dtype type = read_dtype(name, entry);
    std::vector<std::int64_t> shape;
    for (const std::uint64_t dimension : read_numbers(name, entry, "shape")) {
      if (dimension > static_cast<std::uint64_t>(INT64_MAX)) refuse_tensor(name, "its shape has a dimension of " + std::to_string(dimension));
      shape.push_back(static_cast<std::int64_t>(dimension));
    }
    const std::vector<std::uint64_t> place = read_numbers(name, entry, "data_offsets");
    if (place.size() != 2) refuse_tensor(name, "data_offsets are not two numbers");
    const std::string offsets = "[" + std::to_string(place[0]) + ", " + std::to_string(place[1]) + ")";
    if (place[0] > place[1]) refuse_tensor(name, "its data_offsets " + offsets + " end before they begin");
    if (place[1] > data_.size()) {
      refuse_tensor(name, "truncated: its data_offsets " + offsets + " reach behind the data, which has " + std::to_string(data_.size()) + " bytes");
    }
    const lading::bytes_view bytes = data_.subspan(static_cast<std::size_t>(place[0]), static_cast<std::size_t>(place[1] - place[0]));
    auto view = lading::tensor_view::from_bytes(type, shape, bytes);
    if (!view) refuse_tensor(name, "dtype and shape do not fit its " + std::to_string(bytes.size()) + " bytes: " + view.error().message());
    return {place[0], place[1], {name, std::move(*view)}};
  }

  lading::dtype read_dtype(const std::string& name, const json& entry) const {
    const auto field = entry.find("dtype");
    if (field == entry.end() || !field->is_string()) refuse_tensor(name, "has no dtype");
    const auto& wanted = field->get_ref<const std::string&>();
    const auto known = std::find_if(dtype_names.begin(), dtype_names.end(), [&](const dtype_name& each) { return each.name == wanted; });
    if (known == dtype_names.end()) refuse_tensor(name, "its dtype " + shown(wanted) + " is not known");
    return known->type;
  }

  std::vector<std::uint64_t> read_numbers(const std::string& name, const json& entry, const char* key) const {
    const auto field = entry.find(key);
    if (field == entry.end() || !field->is_array()) refuse_tensor(name, "has no " + std::string(key));
    std::vector<std::uint64_t> numbers;
    for (const json& number : *field) {
      if (!number.is_number_unsigned()) refuse_tensor(name, std::string(key) + " has something other than a count in it");
      numbers.push_back(number.get<std::uint64_t>());
    }
    return numbers;
  }

  /// Sorts by place; every byte of the data belongs to exactly one tensor.
  void check_cover(std::vector<placed>& found) const {
    std::sort(found.begin(), found.end(),
              [](const placed& left, const placed& right) { return std::tie(left.begin, left.end) < std::tie(right.begin, right.end); });
    std::uint64_t end = 0;
    for (const placed& each : found) {
      if (each.begin < end) refuse_tensor(each.tensor.name, "its data overlap the tensor's before it");
      if (each.begin > end) refuse_tensor(each.tensor.name, std::to_string(each.begin - end) + " bytes before its data belong to no tensor");
      end = each.end;
    }
    if (end != data_.size()) refuse(std::to_string(data_.size() - end) + " bytes after the last tensor belong to none");
  }

  std::string_view path_;
  lading::bytes_view file_;
  lading::bytes_view data_;
};

}  // namespace

std::vector<file_tensor> read_safetensors(std::string_view path, lading::bytes_view file) { return reader(path, file).read(); }

}  // namespace demo
