#include "cli/open_device.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "cli/cli.h"

namespace polythrottle {
namespace {

std::string list_levels(const Parameter& parameter) {
  std::string out;
  for (const auto& level : parameter.levels) out += (out.empty() ? "" : ", ") + to_text(level);
  return out;
}

}  // namespace

Result<Value> parse_level(const Parameter& parameter, const std::string& text) {
  double number = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool is_number = error == std::errc{} && end == text.data() + text.size();
  for (const auto& level : parameter.levels) {
    if (to_text(level) == text || (is_number && level == Value{number})) return level;
  }
  return fail(Errc::kInvalid, fmt::format("'{}' is no level of {}", text, parameter.name), "it has " + list_levels(parameter));
}

Result<std::map<std::string, std::vector<std::string>>> parse_knob_flags(const std::vector<std::string>& flags) {
  std::map<std::string, std::vector<std::string>> out;
  for (const auto& flag : flags) {
    const std::size_t equals = flag.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == flag.size()) {
      return fail(Errc::kInvalid, fmt::format("--knob {}: write NAME=LEVEL,LEVEL,... or NAME=off", flag));
    }
    std::vector<std::string> levels;
    for (std::size_t at = equals + 1; at <= flag.size();) {
      const std::size_t end = std::min(flag.find(',', at), flag.size());
      levels.push_back(flag.substr(at, end - at));
      at = end + 1;
    }
    if (levels.size() == 1 && levels.front() == "off") levels.clear();
    if (!out.emplace(flag.substr(0, equals), levels).second)
      return fail(Errc::kInvalid, fmt::format("--knob {} is given twice", flag.substr(0, equals)));
  }
  return out;
}

Result<Config> parse_reference(const std::string& text, const std::vector<Parameter>& parameters, Config defaults) {
  if (text.empty()) return defaults;
  TRY(const auto pairs, parse_pairs(text));
  for (const auto& [name, value] : pairs) {
    const auto p =
        std::find_if(parameters.begin(), parameters.end(), [&name = name](const auto& candidate) { return candidate.name == name; });
    if (p == parameters.end()) {
      std::string names;
      for (const auto& candidate : parameters) names += (names.empty() ? "" : ", ") + candidate.name;
      return fail(Errc::kInvalid, fmt::format("--reference: no knob '{}'", name), "there are " + names);
    }
    TRY(const Value level, parse_level(*p, value));
    defaults.set(name, level);
  }
  return defaults;
}

Result<OpenedDevice> open_device(const TuneOptions& options, Host& host) {
  constexpr std::string_view kRecorded = "recorded:", kSimulated = "sim:", kKinds = "cpu, command, recorded:FILE.csv#WORKLOAD, sim:BOARD";
  if (!options.target.empty()) {
    if (!(options.device.empty() || options.device == "cpu") || options.command) {
      return fail(Errc::kInvalid, "--target is work of its own", "leave --device and --command out");
    }
    return open_target_device(options, host);
  }
  const bool is_command = options.device == "command" || (options.device.empty() && options.command);
  if (options.device.empty() && !is_command) return fail(Errc::kInvalid, "--device is missing", std::string(kKinds));
  if (!is_command && options.command) {
    return fail(Errc::kInvalid, fmt::format("--command runs on this machine, not on the device '{}'", options.device),
                "leave --device out, or say --device command");
  }
  if (!is_command && (options.warm_up_seconds || options.command_timeout_seconds)) {
    return fail(Errc::kInvalid, "--warm-up and --command-timeout are for --command");
  }
  if (!is_command && !(options.read.empty() && options.patterns.empty() && options.environment.empty())) {
    return fail(Errc::kInvalid, "--read, --pattern and --env are for --command");
  }
  if (options.device.starts_with(kSimulated)) return open_simulated_device(options, options.device.substr(kSimulated.size()));
  if (!options.precision.empty() || !options.space.empty() || !options.faults.empty()) {
    return fail(Errc::kInvalid, "--precision, --space and --faults are for simulated boards");
  }
  if (options.device.starts_with(kRecorded)) return open_recorded_device(options, host, options.device.substr(kRecorded.size()));
  if (is_command) return open_command_device(options, host);
  if (options.device == "cpu") return open_cpu_device(options, host);
  return fail(Errc::kInvalid, fmt::format("unknown device '{}'", options.device), std::string(kKinds));
}

}  // namespace polythrottle
