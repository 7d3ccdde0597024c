// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#include "arguments.hpp"

#include <algorithm>
#include <iostream>
#include <thread>

#include <CLI/CLI.hpp>

namespace demo {

std::optional<int> parse(arguments& given, int count, char** words) {
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
      ->check(CLI::Validator([](const std::string& text) { return text.starts_with('-') ? "is not a size: " + text : std::string(); }, "SIZE"))
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
  return std::nullopt;
}

}  // namespace demo
