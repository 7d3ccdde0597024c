// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#include "meter.hpp"

#include <algorithm>
#include <cstdio>
#include <string>

#include <unistd.h>

namespace demo {

meter::meter() : visible_(::isatty(STDERR_FILENO) != 0) {}

void meter::advance(std::string_view doing) {
  if (!visible_) return;
  const std::size_t done = std::min(done_++, steps_);
  const int thousandths = steps_ == 0 ? 0 : static_cast<int>(done * 1000 / steps_);
  if (thousandths == drawn_) return;
  drawn_ = thousandths;
  constexpr int width = 30;
  const auto filled = static_cast<std::size_t>(thousandths * width / 1000);
  const std::string bar = std::string(filled, '#') + std::string(width - filled, '.');
  std::fprintf(stderr, "\r[%s] %3d %%  %.*s\033[K", bar.c_str(), thousandths / 10, static_cast<int>(doing.size()), doing.data());
  std::fflush(stderr);
}

void meter::clear() {
  if (visible_ && drawn_ >= 0) std::fputs("\r\033[K", stderr);
  drawn_ = -1;
}

}  // namespace demo
