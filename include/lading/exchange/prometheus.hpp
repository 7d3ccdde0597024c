// Copyright the lading authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <charconv>
#include <string>
#include <string_view>

#include <lading/exchange/metrics.hpp>

namespace lading {

namespace detail {

/// Writes samples of the text format: `# HELP`, `# TYPE`, then name{labels} value.
class exposition {
 public:
  explicit exposition(std::string_view role) {
    for (const char letter : role) {
      if (letter == '\\' || letter == '"') role_ += '\\';
      if (letter == '\n') {
        role_ += "\\n";
      } else {
        role_ += letter;
      }
    }
  }

  void family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    ((((((text_ += "# HELP ") += name) += ' ') += help) += "\n# TYPE ") += name) += ' ';
    (text_ += type) += '\n';
  }
  void sample(std::string_view suffix, std::string_view labels, double value) {
    char digits[32];
    const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    sample(suffix, labels, std::string_view(digits, static_cast<std::size_t>(end - digits)));
  }
  void sample(std::string_view suffix, std::string_view labels, std::uint64_t value) {
    sample(suffix, labels, std::string_view(std::to_string(value)));
  }
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  void sample(std::string_view suffix, std::string_view labels, std::string_view value) {
    ((((text_ += name_) += suffix) += "{role=\"") += role_) += '"';
    if (!labels.empty()) (text_ += ',') += labels;
    ((text_ += "} ") += value) += '\n';
  }

  std::string text_, role_;
  std::string_view name_;
};

[[nodiscard]] inline std::string label(std::string_view name, std::string_view value) {
  std::string text(name);
  ((text += "=\"") += value) += '"';
  return text;
}

}  // namespace detail

/// The metrics in the text format 0.0.4 that Prometheus reads; `role` tells several sources in one process apart.
///
/// Source: prometheus.io/docs/instrumenting/exposition_formats
[[nodiscard]] inline std::string prometheus_text(const exchange_metrics& metrics, std::string_view role = "store") {
  using detail::label;
  detail::exposition text(role);
  text.family("lading_exchange_succeeded_total", "counter", "Keys that ended well.");
  text.sample("", "", metrics.succeeded);
  text.family("lading_exchange_retried_total", "counter", "Keys that were tried again.");
  text.sample("", "", metrics.retried);
  text.family("lading_exchange_failed_total", "counter", "Keys that failed, by error code.");
  for (std::size_t code = 0; code < exchange_metrics::code_count; ++code) {
    if (metrics.errors[code] != 0) text.sample("", label("code", name_of(static_cast<errc>(code))), metrics.errors[code]);
  }
  text.family("lading_exchange_items_succeeded_total", "counter", "Items of submissions that ended well, by strategy.");
  for (std::size_t how = 0; how < strategy_count; ++how) {
    text.sample("", label("strategy", strategy_names[how]), metrics.items[how].succeeded);
  }
  text.family("lading_exchange_items_failed_total", "counter", "Items of submissions that failed, by strategy and error code.");
  for (std::size_t how = 0; how < strategy_count; ++how) {
    for (std::size_t code = 0; code < exchange_metrics::code_count; ++code) {
      const std::uint64_t failed = metrics.items[how].errors[code];
      if (failed != 0) text.sample("", label("strategy", strategy_names[how]) + ',' + label("code", name_of(static_cast<errc>(code))), failed);
    }
  }
  text.family("lading_exchange_values_total", "counter", "Values by the way of their payload.");
  for (std::size_t way = 0; way < payload_path_count; ++way) text.sample("", label("path", payload_path_names[way]), metrics.paths[way].values);
  text.family("lading_exchange_payload_copies_total", "counter", "Copies of payloads besides the transfer.");
  for (std::size_t way = 0; way < payload_path_count; ++way) text.sample("", label("path", payload_path_names[way]), metrics.paths[way].copies);

  const auto each_stage = [&](auto&& write) {
    for (std::size_t what = 0; what < stage_count; ++what) {
      if (metrics.common[what].count != 0) write(metrics.common[what], label("stage", stage_names[what]));
    }
    for (std::size_t how = 0; how < strategy_count; ++how) {
      for (std::size_t what = 0; what < stage_count; ++what) {
        if (metrics.stages[how][what].count != 0)
          write(metrics.stages[how][what], label("stage", stage_names[what]) + ',' + label("strategy", strategy_names[how]));
      }
    }
  };
  text.family("lading_exchange_stage_bytes_total", "counter", "Bytes that a stage was about.");
  each_stage([&](const stage_metrics& each, const std::string& labels) { text.sample("", labels, each.bytes); });
  text.family("lading_exchange_stage_seconds", "histogram", "Time that a stage took.");
  each_stage([&](const stage_metrics& each, const std::string& labels) {
    std::uint64_t below = 0;
    for (std::size_t i = 0; i + 1 < stage_metrics::bucket_count; ++i) {
      below += each.buckets[i];
      if (i < 10 || i % 2 != 0) continue;  // from a microsecond on, steps of four
      char bound[32];
      const auto end = std::to_chars(bound, bound + sizeof bound, static_cast<double>(std::uint64_t{1} << i) * 1e-9).ptr;
      text.sample("_bucket", labels + ',' + label("le", std::string_view(bound, static_cast<std::size_t>(end - bound))), below);
    }
    text.sample("_bucket", labels + ',' + label("le", "+Inf"), each.count);
    text.sample("_sum", labels, static_cast<double>(each.total.count()) * 1e-9);
    text.sample("_count", labels, each.count);
  });
  return text.take();
}

}  // namespace lading
