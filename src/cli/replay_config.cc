#include "cli/replay_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "cli/cli.h"
#include "cli/question.h"
#include "cli/rows_of_study.h"
#include "replay/duration.h"
#include "serving/load_adaptive.h"

namespace polythrottle {
namespace {

/// A value of the board's table; a clock may be given to the nearest MHz.
Result<Value> level_of(const simulation::Board& board, const std::string& name, double number) {
  const std::vector<Hertz>* table = name == "gpu_min_hz" || name == "gpu_max_hz" ? &board.gpu_levels
                                    : name == "mem_hz"                           ? &board.mem_levels
                                    : name == "cpu_hz"                           ? &board.cpu_levels
                                                                                 : nullptr;
  if (table == nullptr) {
    if (name != "batch") {
      return fail(Errc::kInvalid, fmt::format("--config: '{}' is no knob of {}", name, board.name),
                  "it has gpu_min_hz, gpu_max_hz, mem_hz, cpu_hz, batch");
    }
    if (number < 1.0 || number > 1024.0 || number != std::floor(number)) {
      return fail(Errc::kInvalid, fmt::format("--config: batch={} is no whole number from 1 to 1024", number));
    }
    return Value(number);
  }
  for (const Hertz level : *table) {
    if (std::abs(level.si() - number) <= 0.5e6) return Value(level.si());
  }
  std::string levels;
  for (const Hertz level : *table) levels += fmt::format("{}{:.0f}", levels.empty() ? "" : ", ", level.si());
  return fail(Errc::kInvalid, fmt::format("--config: {}={:.0f} is no level of {}", name, number, board.name), "one of " + levels);
}

Result<Config> typed_config(const std::string& word, const replay::Nominal& nominal) {
  Config out = nominal.reference();
  TRY(const auto pairs, parse_pairs(word));
  for (const auto& [name, text] : pairs) {
    TRY(const double number, to_number(text, "--config " + name));
    TRY(auto level, level_of(nominal.board(), name, number));
    out.set(name, std::move(level));
  }
  if (*out.number("gpu_min_hz") > *out.number("gpu_max_hz")) {
    return fail(Errc::kInvalid, "--config: gpu_min_hz is above gpu_max_hz");
  }
  return out;
}

Result<Config> best_of_study(const std::string& path, const replay::Nominal& nominal, std::string& note) {
  Question question;
  question.study = path;
  TRY(const auto summary, summarize_file(question, std::nullopt));
  if (!summary.best) {
    return fail(Errc::kNotFound, fmt::format("{}: no setting is known to meet the limits", path), "'polythrottle show' says more");
  }
  if (summary.stale) note = stale_text(*summary.stale);
  Config out = nominal.reference();
  for (const auto& [name, value] : summary.best->config.entries()) {
    const double* number = std::get_if<double>(&value);
    if (number == nullptr) return fail(Errc::kInvalid, fmt::format("--config {}: {} is no knob of {}", path, name, nominal.board().name));
    TRY(auto level, level_of(nominal.board(), name, *number));
    out.set(name, std::move(level));
  }
  return out;
}

/// The board's rows, and the controller that goes from one to another; it begins in the one that is tuned back to back.
Result<ReplayConfig> load_adaptive(const replay::Nominal& nominal, simulation::Precision precision, Seconds slo, bool wait) {
  TRY(auto rows, rows_of_board(nominal.board(), nominal.network(), precision, slo, serving_model(wait)));
  const serving::LoadAdaptiveOptions options = load_adaptive_options(rows, wait);
  TRY_STATUS(serving::LoadAdaptive::make(options, slo));
  ReplayConfig out;
  out.word = "load-adaptive";
  out.rows = std::move(rows.rows);
  out.costs = std::move(rows.costs);
  out.row = rows.tuned;
  out.origin = fmt::format("load-adaptive: at first, of {} rows", out.rows.size());
  out.row_choice = [options, slo] { return std::move(*serving::LoadAdaptive::make(options, slo)); };
  return out;
}

}  // namespace

Result<ReplayConfig> replay_config(const std::string& word, const replay::Nominal& nominal, simulation::Precision precision, Seconds slo,
                                   double rate, bool wait) {
  if (word == "load-adaptive") return load_adaptive(nominal, precision, slo, wait);
  ReplayConfig out;
  out.word = word;
  Config config = nominal.reference();
  if (word == "reference") {
    out.origin = "reference: clocks as the board boots";
    // One image at a time, as found, would be no server: it takes the largest batch.
    config.set("batch", static_cast<double>(replay::kLargestBatch));
  } else if (word == "tuned") {
    TRY(const auto tuned, nominal.tuned(slo, rate));
    config = tuned.config;
    out.origin = fmt::format("tuned: least simulated energy of {} settings", tuned.settings);
  } else if (word.ends_with("#best")) {
    TRY(config, best_of_study(word.substr(0, word.size() - 5), nominal, out.note));
    out.origin = "best of " + word.substr(0, word.size() - 5);
  } else if (word.find('=') != std::string::npos) {
    TRY(config, typed_config(word, nominal));
    out.origin = "as given";
  } else {
    return fail(Errc::kInvalid, fmt::format("--config: '{}' is no configuration", word),
                "one of reference, tuned, load-adaptive, KNOB=VALUE,..., STUDY.sqlite#best");
  }
  out.rows = {nominal.row(config)};
  return out;
}

}  // namespace polythrottle
