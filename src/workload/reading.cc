#include "workload/reading.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "trial/json.h"
#include "trial/metric.h"
#include "workload/presets.h"

namespace polythrottle {
namespace {

constexpr double kLongestLatency = 1e6, kMostInferences = 1e9, kMostCounted = 1e15;  ///< beyond these a report is a mistake
constexpr std::size_t kLongestLooked = 16 * 1024, kLongestPattern = 1000;

/// What a pattern can mean: a quantity, and for a time the unit its name ends in.
enum class Says { kBegin, kEnd, kLatency, kTimed, kSummary, kInferences, kBatches, kInferenceRate, kBatchRate };
struct Kind {
  std::string_view name;
  Says quantity;
  std::string_view metric{};  ///< of kSummary
};
constexpr std::array kPlain{Kind{"begin", Says::kBegin},
                            Kind{"end", Says::kEnd},
                            Kind{"inferences", Says::kInferences},
                            Kind{"batches", Says::kBatches},
                            Kind{"inferences_per_second", Says::kInferenceRate},
                            Kind{"batches_per_second", Says::kBatchRate}};
constexpr std::array kTimes{Kind{"latency", Says::kLatency},
                            Kind{"timed", Says::kTimed},
                            Kind{"mean", Says::kSummary, kLatencyMean},
                            Kind{"p50", Says::kSummary, kLatencyP50},
                            Kind{"p95", Says::kSummary, kLatencyP95},
                            Kind{"p99", Says::kSummary, kLatencyP99}};
struct Unit {
  std::string_view suffix;
  double seconds;
};
constexpr std::array kUnits{Unit{"_seconds", 1.0}, Unit{"_ms", 1e-3}, Unit{"_us", 1e-6}};

struct Meaning {
  Kind kind;
  double scale = 1.0;
};
std::optional<Meaning> meaning_of(std::string_view name) {
  for (const auto& kind : kPlain) {
    if (kind.name == name) return Meaning{kind, 1.0};
  }
  for (const auto& kind : kTimes) {
    for (const auto& unit : kUnits) {
      if (name.starts_with(kind.name) && name.substr(kind.name.size()) == unit.suffix) return Meaning{kind, unit.seconds};
    }
  }
  return std::nullopt;
}
bool takes_number(Says quantity) { return quantity != Says::kBegin && quantity != Says::kEnd; }

struct Compiled {
  std::string name;
  Meaning meaning;
  std::shared_ptr<const RE2> regex;
};

/// RE2 takes time in proportion to the line and no stack, whatever the expression and the line are.
Result<Compiled> compile(const Pattern& pattern) {
  const auto meaning = meaning_of(pattern.meaning);
  if (!meaning) return fail(Errc::kInvalid, fmt::format("--pattern: '{}' means nothing", pattern.meaning), "one of " + pattern_meanings());
  const auto about = [&] { return fmt::format("--pattern {}={}", pattern.meaning, pattern.regex); };
  if (pattern.regex.empty() || pattern.regex.size() > kLongestPattern) {
    return fail(Errc::kInvalid,
                fmt::format("--pattern {}: an expression of 1 to {} characters is wanted", pattern.meaning, kLongestPattern));
  }
  RE2::Options options;
  options.set_log_errors(false);
  auto regex = std::make_shared<const RE2>(pattern.regex, options);
  if (!regex->ok()) {
    const std::size_t at = pattern.regex.find(regex->error_arg());
    const std::string where = at == std::string::npos ? std::string() : fmt::format(" at character {}", at + 1);
    return fail(Errc::kInvalid, fmt::format("{}: it does not compile{}: {}", about(), where, regex->error()),
                "RE2 syntax: \\d+, (?: ), .*?");
  }
  const int brackets = regex->NumberOfCapturingGroups(), wanted = takes_number(meaning->kind.quantity) ? 1 : 0;
  if (brackets != wanted) {
    return fail(Errc::kInvalid, fmt::format("{}: it has {} pairs of ( ), and {} must have {}", about(), brackets, pattern.meaning, wanted),
                "( ) stands around the number that is wanted; (?: ) groups without that");
  }
  return Compiled{pattern.meaning, *meaning, std::move(regex)};
}

std::optional<double> number_in(std::string_view text) {
  double out = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(out)) return std::nullopt;
  return out;
}

Status add(const Compiled& pattern, std::string_view text, Said& said) {
  const auto& [kind, scale] = pattern.meaning;
  if (!takes_number(kind.quantity)) {
    (kind.quantity == Says::kBegin ? said.begins : said.ends) = true;
    return {};
  }
  const auto number = number_in(text);
  const bool time = kind.quantity == Says::kLatency || kind.quantity == Says::kTimed || kind.quantity == Says::kSummary;
  const double value = number.value_or(-1.0) * scale;
  if (time ? !(value > 0.0 && value <= kLongestLatency) : !(value >= 0.0 && value <= kMostCounted)) {
    return fail(Errc::kCorrupt, fmt::format("the command reports {} '{}'", pattern.name, std::string(text.substr(0, 40))),
                time ? "a time above 0 is wanted" : "a number from 0 is wanted");
  }
  switch (kind.quantity) {
    case Says::kLatency: said.latencies.emplace_back(value); break;
    case Says::kTimed: said.timed = Seconds(value); break;
    case Says::kSummary: said.summary[kind.metric] = Seconds(value); break;
    case Says::kInferences: said.inferences = value; break;
    case Says::kBatches: said.batches = value; break;
    case Says::kInferenceRate: said.inferences_per_second = value; break;
    case Says::kBatchRate: said.batches_per_second = value; break;
    case Says::kBegin:
    case Says::kEnd: break;
  }
  return {};
}

Result<Said> match(const std::vector<Compiled>& patterns, std::string_view line) {
  const re2::StringPiece looked(line.data(), std::min(line.size(), kLongestLooked));
  Said said;
  for (std::size_t i = 0; i < patterns.size(); ++i) {
    re2::StringPiece found;
    const bool number = takes_number(patterns[i].meaning.kind.quantity);
    if (!(number ? RE2::PartialMatch(looked, *patterns[i].regex, &found) : RE2::PartialMatch(looked, *patterns[i].regex))) continue;
    TRY_STATUS(add(patterns[i], {found.data(), found.size()}, said));
    said.matched.push_back(i);
  }
  if (!said.latencies.empty() && said.inferences && !(*said.inferences >= 1.0 && *said.inferences <= kMostInferences)) {
    return fail(Errc::kCorrupt, fmt::format("the command reports {} inferences in a batch", *said.inferences), "a number from 1");
  }
  return said;
}

Result<Said> read_json(std::string_view line) {
  TRY(const auto report, parse_batch_report(line));
  Said said;
  if (!report) return said;
  said.latencies.push_back(report->latency);
  if (report->inferences) said.inferences = static_cast<double>(*report->inferences);
  return said;
}

}  // namespace

std::string pattern_meanings() {
  std::string out;
  for (const auto& kind : kPlain) out += fmt::format("{}{}", out.empty() ? "" : ", ", kind.name);
  for (const auto& kind : kTimes) out += fmt::format(", {}_ms", kind.name);
  return out + " (or _us, _seconds for _ms)";
}

Result<Reading> reading_by(std::string name, std::vector<Pattern> patterns) {
  std::vector<Compiled> compiled;
  const auto has = [&](auto... quantities) {
    return std::any_of(compiled.begin(), compiled.end(),
                       [&](const Compiled& c) { return ((c.meaning.kind.quantity == quantities) || ...); });
  };
  for (const auto& pattern : patterns) {
    TRY(auto one, compile(pattern));
    compiled.push_back(std::move(one));
  }
  const bool batches = has(Says::kLatency);
  if (!batches && !has(Says::kSummary)) {
    return fail(Errc::kInvalid, "--pattern: no latency can come from these patterns",
                "add latency_ms (of each batch), or mean_ms, p95_ms, ...");
  }
  if (!batches && !has(Says::kInferences, Says::kBatches, Says::kInferenceRate, Says::kBatchRate)) {
    return fail(Errc::kInvalid, "--pattern: no count of the work can come from these patterns",
                "add inferences, batches, inferences_per_second or batches_per_second");
  }
  Reading out{.name = std::move(name), .errors_too = true, .patterns = std::move(patterns)};
  out.ends_by_itself = has(Says::kSummary, Says::kEnd, Says::kTimed, Says::kBatches, Says::kInferenceRate, Says::kBatchRate);
  out.read = [compiled = std::move(compiled)](std::string_view line) { return match(compiled, line); };
  return out;
}

Result<Reading> reading_by_patterns(const std::vector<std::string>& typed) {
  std::vector<Pattern> patterns;
  std::string wants;
  for (const auto& text : typed) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos) {
      return fail(Errc::kInvalid, fmt::format("--pattern {}: NAME=REGEX is wanted", text), "NAME is one of " + pattern_meanings());
    }
    patterns.push_back({text.substr(0, equals), text.substr(equals + 1)});
    wants += (wants.empty() ? "it must print lines that match " : ", ") + text;
  }
  TRY(auto out, reading_by("patterns", std::move(patterns)));
  out.wants = std::move(wants);
  return out;
}

Result<Reading> reading_of(std::string_view how) {
  if (how.empty() || how == "json") {
    return Reading{.name = "json",
                   .wants = R"(it must print {"latency_seconds": S} after each batch and flush; --command-timeout gives it longer)",
                   .read = read_json};
  }
  if (how == "steps") {
    return Reading{.name = "steps", .talks = true, .wants = "it must speak the step protocol (docs/command.md)", .read = read_json};
  }
  for (const auto& preset : presets()) {
    if (preset.name != how) continue;
    if (preset.read != nullptr) {
      return Reading{.name = std::string(preset.name),
                     .ends_by_itself = true,
                     .errors_too = true,
                     .wants = std::string(preset.wants),
                     .read = preset.read};
    }
    TRY(auto out, reading_by(std::string(preset.name), {preset.patterns.begin(), preset.patterns.end()}));
    out.wants = preset.wants;
    return out;
  }
  std::string names = "json, steps";
  for (const auto& preset : presets()) names += fmt::format(", {}", preset.name);
  return fail(Errc::kInvalid, fmt::format("--read {}: no such way to read", how), "one of " + names + "; or --pattern NAME=REGEX");
}

Result<std::optional<BatchReport>> parse_batch_report(std::string_view line) {
  const std::size_t first = line.find_first_not_of(" \t");
  if (first == std::string_view::npos || line[first] != '{') return std::nullopt;
  const auto json = parse_json(line);
  if (!json || !json->is_object()) return std::nullopt;
  const auto latency = json->find("latency_seconds");
  if (latency == json->end()) return std::nullopt;
  BatchReport out;
  out.latency = Seconds(latency->is_number() ? latency->get<double>() : -1.0);
  if (!(out.latency.count() > 0.0) || out.latency.count() > kLongestLatency) {
    return fail(Errc::kCorrupt, fmt::format("the command reports latency_seconds {}", latency->dump().substr(0, 40)),
                "a number of seconds above 0");
  }
  if (const auto count = json->find("inferences"); count != json->end()) {
    const double number = count->is_number() ? count->get<double>() : 0.0;
    if (!(number >= 1.0) || number > kMostInferences || number != std::floor(number)) {
      return fail(Errc::kCorrupt, fmt::format("the command reports {} inferences", count->dump().substr(0, 40)), "a whole number from 1");
    }
    out.inferences = static_cast<std::size_t>(number);
  }
  return out;
}

}  // namespace polythrottle
