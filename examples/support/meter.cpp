// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#include "meter.hpp"

#include <algorithm>
#include <cstdio>
#include <string>

#include <sys/ioctl.h>
#include <unistd.h>

#include "units.hpp"

namespace support {

namespace {

/// Of the terminal behind standard error; 80 where it does not say.
std::size_t columns() {
  struct winsize window {};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col != 0 ? window.ws_col : 80;
}

std::string as_clock(double seconds) {
  const auto whole = static_cast<long long>(std::min(seconds, 359'999.0) + 0.5);
  return whole >= 3600 ? format("%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60) : format("%lld:%02lld", whole / 60, whole % 60);
}

}  // namespace

meter::meter() : visible_(::isatty(STDERR_FILENO) != 0) {}

void meter::draw(double fraction, std::string_view text) {
  const std::size_t room = columns() - 1;
  const std::size_t width = std::clamp<std::size_t>(room / 2, 10, 40) - 10;
  std::string line;
  if (fraction >= 0) {
    const auto filled = static_cast<std::size_t>(fraction * static_cast<double>(width));
    line = '[' + std::string(filled, '#') + std::string(width - filled, '.') + format("] %3d %%  ", static_cast<int>(fraction * 100));
  }
  line += text;
  line.resize(std::min(line.size(), room));  // a line that wraps could not be drawn over
  std::fprintf(stderr, "\r%s\033[K", line.c_str());
  std::fflush(stderr);
}

void meter::advance(std::string_view doing) {
  if (!visible_) return;
  const std::size_t done = std::min(done_++, steps_);
  const int thousandths = steps_ == 0 ? 0 : static_cast<int>(done * 1000 / steps_);
  if (thousandths == drawn_) return;
  drawn_ = thousandths;
  draw(thousandths / 1000.0, doing);
}

void meter::flow(double fraction, std::uint64_t done) {
  if (!visible_) return;
  const auto now = std::chrono::steady_clock::now();
  if (began_ == decltype(began_){}) began_ = now;
  if (now - shown_ < std::chrono::milliseconds(100)) return;
  shown_ = now;
  drawn_ = 0;
  fraction = std::min(fraction, 1.0);
  const double seconds = std::chrono::duration<double>(now - began_).count();
  std::string text = as_bytes(static_cast<double>(done));
  if (seconds > 0.2) text += ", " + as_bytes(static_cast<double>(done) / seconds) + "/s";
  if (seconds > 0.2 && fraction > 0.001) text += ", " + as_clock(seconds / fraction * (1 - fraction)) + " left";
  draw(fraction, text);
}

void meter::clear() {
  if (visible_ && drawn_ >= 0) std::fputs("\r\033[K", stderr);
  drawn_ = -1;
}

}  // namespace support
