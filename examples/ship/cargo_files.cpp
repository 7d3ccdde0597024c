// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>
#include <set>

#include <support/problem.hpp>
#include <support/units.hpp>

#include "cargo.hpp"
#include "file_names.hpp"

namespace ship {

using support::expect;
using support::problem;

namespace {

/// Looks at all files first, and then holds one at a time open.
class file_source final : public source {
 public:
  file_source(const std::vector<std::string>& paths, hello& announced) {
    std::set<std::string> names;
    for (const std::string& path : paths) {
      const support::mapped_file looked_at(path);
      files_.push_back({path, name_of_path(path), looked_at.bytes().size()});
      check_name(files_.back().name);
      if (!names.insert(files_.back().name).second) throw problem(path + ": another file has the same name: send it in a run of its own");
      total_ += files_.back().size;
    }
    announced.files = files_.size();
    announced.bytes = total_;
  }

  std::size_t pack(std::uint64_t sequence, lading::bytes_span slot) override {
    if (current_ == files_.size()) return 0;
    const one_file& file = files_[current_];
    if (!open_) {
      open_.emplace(file.path);
      if (open_->bytes().size() != file.size) throw problem(file.path + ": was changed while others were sent");
    }
    const lading::bytes_view all = open_->bytes();
    file_part part{sequence, current_, file.name, all.size(), offset_, {}};
    const std::size_t room = slot.size() - std::min(slot.size(), lading::encoded_size(part) + packing);
    if (room == 0) throw problem("a slot of " + std::to_string(slot.size()) + " bytes is too small: pass a larger --slot");
    part.data = all.subspan(offset_, std::min<std::size_t>(room, all.size() - offset_));
    open_->check_unchanged();
    const auto frames = expect(lading::encode(part), "encoding a part of a file");
    const std::size_t size = expect(lading::pack_into(slot, frames, {.schema = lading::schema_of<file_part>()}), "packing a part of a file");
    open_->check_unchanged();  // again, after its bytes were read
    offset_ += part.data.size();
    bytes_ += part.data.size();
    if (offset_ == all.size()) {
      ++current_;
      offset_ = 0;
      open_.reset();
    }
    return size;
  }
  std::uint64_t bytes() const override { return bytes_; }
  double fraction() const override { return total_ == 0 ? 1 : static_cast<double>(bytes_) / static_cast<double>(total_); }

 private:
  struct one_file {
    std::string path, name;
    std::size_t size;
  };
  static constexpr std::size_t packing = 64 + 2 * 32 + 2 * 64;  // header, two entries, two gaps

  std::vector<one_file> files_;
  std::optional<support::mapped_file> open_;
  std::uint64_t total_ = 0, bytes_ = 0;
  std::size_t current_ = 0, offset_ = 0;
};

class file_sink final : public sink {
 public:
  file_sink(const folder& into, const hello& announced, bool replace)
      : into_(into), files_(announced.files), total_(announced.bytes), replace_(replace) {
    if (const std::uint64_t free = into.free_bytes(); announced.bytes > free) {
      throw problem(into.path() + ": has " + support::as_bytes(static_cast<double>(free)) + " free, and the files need " +
                    support::as_bytes(static_cast<double>(announced.bytes)));
    }
  }

  void take(std::uint64_t sequence, const lading::unpacked& items) override {
    auto part = expect(lading::decode<received_part>(items), "decoding slot", sequence);
    const auto refuse = [&](const char* what) { throw problem("slot " + std::to_string(sequence) + " does not continue what came before: " + what); };
    if (part.sequence != sequence || part.file != done_ || done_ == files_) refuse("its number, or its file's");
    if (!current_) {
      if (part.file_size > total_ - bytes_) refuse("more bytes than were announced");
      current_ = std::make_unique<landing>(into_, std::move(part.name), part.file_size, replace_);
    } else if (part.name != current_->name() || part.file_size != current_->size()) {
      refuse("another name or size");
    }
    if (part.offset != current_->written() || (part.data.empty() && part.file_size != 0)) refuse("its place in the file");
    current_->append(part.data);
    bytes_ += part.data.size();
    if (current_->written() != current_->size()) return;
    current_->finish();
    current_.reset();
    ++done_;
  }
  void finish() override {
    if (done_ != files_ || bytes_ != total_) throw problem("the sender has ended before all of its files were here");
  }
  std::uint64_t schema() const override { return lading::schema_of<received_part>(); }
  std::uint64_t bytes() const override { return bytes_; }
  std::uint64_t files() const override { return done_; }
  double fraction() const override { return total_ == 0 ? 1 : static_cast<double>(bytes_) / static_cast<double>(total_); }

 private:
  const folder& into_;
  std::uint64_t files_, total_, bytes_ = 0, done_ = 0;
  bool replace_;
  std::unique_ptr<landing> current_;
};

}  // namespace

static_assert(lading::schema_of<file_part>() == lading::schema_of<received_part>());

std::unique_ptr<source> open_files(const std::vector<std::string>& paths, hello& announced) {
  return std::make_unique<file_source>(paths, announced);
}
std::unique_ptr<sink> land_files(const folder& into, const hello& announced, bool replace) {
  return std::make_unique<file_sink>(into, announced, replace);
}

}  // namespace ship
