// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
//
// The whole journey: values -> frames -> packed slots in a registered slab -> transfer -> validation -> values again, each step beside memcpy.

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <iostream>
#include <new>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <CLI/CLI.hpp>

#include "mapped_file.hpp"
#include "rollout.hpp"
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

namespace {

struct arguments {
  std::vector<std::string> safetensors, files, transfer_queue;
  ship_options options;
  bool small = false;
  bool json = false;
};

std::vector<mapped_file> open_all(const std::vector<std::string>& paths) {
  std::vector<mapped_file> files;
  for (const std::string& path : paths) files.emplace_back(path);
  return files;
}

/// "a.bin" or "a.bin and 3 more files".
std::string names_of(const std::vector<std::string>& paths) {
  if (paths.size() == 1) return paths.front();
  return paths.front() + " and " + std::to_string(paths.size() - 1) + (paths.size() == 2 ? " more file" : " more files");
}

void ship_rollouts(const arguments& given, report& told) {
  rollout_plan plan;
  if (given.small) plan = {.rollouts = 8, .responses = 4, .longest_response = 256, .image_every = 4, .hidden_size = 512};
  const std::vector<rollout> batch = make_rollouts(plan);
  told.cargo = "rollout batch: " + std::to_string(batch.size()) + " prompts with " + std::to_string(plan.responses) + " jagged responses each, " +
               std::to_string((plan.rollouts + plan.image_every - 1) / plan.image_every) + " with an image, one with a " +
               std::to_string(plan.hidden_size * plan.hidden_size / 262'144) + " MiB tensor";
  ship_values<rollout, rollout_view>(std::span<const rollout>(batch), given.options, told);
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

void ship_transfer_queue(const arguments& given, report& told) {
  const std::vector<mapped_file> files = open_all(given.transfer_queue);
  told.cargo =
      names_of(given.transfer_queue) + ": " + std::to_string(files.size()) + (files.size() == 1 ? " TransferQueue object" : " TransferQueue objects");
  ship_packed(files, given.options, told);
}

int run(int count, char** words) {
  arguments given;
  CLI::App app{"Ships values through lading and back, verifies all of them, and compares each step with memcpy.", "demo"};
  app.set_help_flag("-h,--help", "Print this and exit");
  auto* const safetensors = app.add_option("--safetensors", given.safetensors, "Ship the tensors of these models by name")->type_name("FILE");
  auto* const files = app.add_option("--file", given.files, "Ship these files as bytes")->type_name("FILE")->excludes(safetensors);
  app.add_option("--transfer-queue", given.transfer_queue, "Ship these packed objects of TransferQueue")
      ->type_name("FILE")
      ->excludes(safetensors)
      ->excludes(files);
  app.add_option("--workers", given.options.workers, "Threads that encode, decode and transfer; 0 = one for each processor")
      ->capture_default_str()
      ->check(CLI::Range(0, 1024));
  app.add_option("--repeat", given.options.rounds, "Rounds of which the best times are shown; 0 = by the size")
      ->capture_default_str()
      ->check(CLI::Range(0, 1'000'000));
  app.add_option("--slab", given.options.slab_limit, "Bytes of the slab: what does not fit goes in several batches; one object always fits")
      ->capture_default_str()
      ->transform(CLI::AsSizeValue(false));
  app.add_flag("--small", given.small, "A small rollout batch");
  app.add_flag("--json", given.json, "Print JSON instead of the table");
  try {
    app.parse(count, words);
  } catch (const CLI::ParseError& wrong) {
    if (wrong.get_exit_code() == 0) return app.exit(wrong);  // --help
    std::cerr << "demo: " << wrong.what() << " (--help lists the options)\n";
    return 2;
  }
  if (given.options.workers == 0) given.options.workers = std::max(1U, std::thread::hardware_concurrency());

#if defined(__GLIBC__)
  // Freed blocks stay with the process, as in a program that runs for long: otherwise decoding owned values would measure page faults.
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, -1);
#endif

  report told;
  if (!given.safetensors.empty()) {
    ship_safetensors(given, told);
  } else if (!given.files.empty()) {
    ship_files(given, told);
  } else if (!given.transfer_queue.empty()) {
    ship_transfer_queue(given, told);
  } else {
    ship_rollouts(given, told);
  }
  if (given.json) {
    told.print_json(std::cout);
  } else {
    told.print_table(std::cout);
  }
  return std::cout.flush() ? 0 : 1;
}

}  // namespace
}  // namespace demo

int main(int count, char** words) {
  std::string why;
  try {
    return demo::run(count, words);
  } catch (const std::bad_alloc&) {
    why = "not enough memory";
  } catch (const std::exception& wrong) {
    why = wrong.what();
  }
  // A path may hold anything; what is said of it stays one line.
  std::replace_if(
      why.begin(), why.end(), [](char letter) { return static_cast<unsigned char>(letter) < 0x20; }, '?');
  std::fprintf(stderr, "demo: %s\n", why.c_str());
  return 1;
}
