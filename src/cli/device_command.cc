// This machine running a program of the user's.

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "cli/cli.h"
#include "cli/machine_space.h"
#include "cli/open_device.h"
#include "host/launcher.h"
#include "platform/platform.h"
#include "study/summary.h"
#include "workload/command.h"

namespace polythrottle {
namespace {

using Levels = std::map<std::string, std::vector<std::string>>;

/// What only other devices understand.
Status check_flags(const TuneOptions& o) {
  if (!o.command) return fail(Errc::kInvalid, "--command is missing", "the device command runs a program");
  if (!o.model.empty()) return fail(Errc::kInvalid, "--model and --command exclude each other", "the command names its own model");
  if (o.rate || !o.arrivals.empty() || o.batch_delay_seconds) {
    return fail(Errc::kInvalid, "--rate, --arrivals and --batch-delay are for a model: a command runs in closed loop");
  }
  if (!o.dimensions.empty() || !o.inputs.empty() || o.provider != "cpu") {
    return fail(Errc::kInvalid, "--dim, --input and --provider are for a model: a command takes its own arguments");
  }
  if (o.pace_seconds > 0.0) return fail(Errc::kInvalid, "--pace is for recorded tables");
  if (o.command_timeout_seconds && !(*o.command_timeout_seconds > 0.0)) return fail(Errc::kInvalid, "--command-timeout must be above zero");
  if (!o.read.empty() && !o.patterns.empty()) return fail(Errc::kInvalid, "--read and --pattern exclude each other");
  return {};
}

/// The --env flags, by the variable's name.
Result<std::map<std::string, CommandLine>> parse_environment(const std::vector<std::string>& flags) {
  std::map<std::string, CommandLine> out;
  for (const auto& flag : flags) {
    const std::size_t equals = flag.find('=');
    const std::string name = flag.substr(0, equals);
    if (equals == std::string::npos || !is_knob_name(name)) {
      return fail(Errc::kInvalid, fmt::format("--env {}: NAME=TEXT is wanted", flag), "e.g. --env 'BATCH={batch}'");
    }
    auto text = CommandLine::one_word(flag.substr(equals + 1));
    if (!text) return fail(Errc::kInvalid, fmt::format("--env {}: {}", name, text.error().what));
    if (!out.emplace(name, std::move(*text)).second) return fail(Errc::kInvalid, fmt::format("--env {} is given twice", name));
  }
  return out;
}

/// The latencies that limits and objective are about.
std::vector<std::string> wanted_latencies(const TuneOptions& o) {
  std::set<std::string> out;
  const auto add = [&](const std::string& metric) {
    if (const MetricRow* row = find_metric(metric); row != nullptr && row->unit == "s") out.insert(metric);
  };
  if (const auto slo = parse_slo(o.slo)) add(slo->metric);
  for (const auto& text : o.constraints) {
    if (const auto limit = parse_constraint(text)) add(limit->metric);
  }
  if (const auto objective = parse_objective(o.objective)) add(objective->metric);
  return {out.begin(), out.end()};
}

/// A program that lives on through the study stays in the control group it was started in, so this knob would not reach it.
Status leave_quota_out(Machine& machine, Levels& wanted) {
  const std::string kQuota = "cpu_quota_ratio";
  if (const auto it = wanted.find(kQuota); it != wanted.end() && !it->second.empty()) {
    return fail(Errc::kInvalid, fmt::format("--knob {} does not go with --read steps", kQuota),
                "a program that stays alive cannot be moved to another control group");
  }
  const auto is_quota = [&](const auto& knob) { return knob->parameter().name == kQuota; };
  std::erase_if(machine.knobs, is_quota);
  wanted.erase(kQuota);
  return {};
}

/// A knob of the command's own, by the levels typed for it.
Result<Parameter> own_parameter(const std::string& name, const std::vector<std::string>& texts) {
  if (name == "window_seconds") {
    return fail(Errc::kInvalid, "--knob window_seconds: that name is taken", "POLYTHROTTLE_WINDOW_SECONDS is the length of the window");
  }
  Parameter out{.name = name, .unit = "", .role = Role::kOther, .levels = {}, .help = "{" + name + "} of the command"};
  if (name == "batch" || name == "threads" || name == "instances") {
    TRY(const auto levels, own_levels(name, texts, 1));
    for (const int level : levels) out.levels.emplace_back(static_cast<double>(level));
    out.role = name == "batch" ? Role::kBatch : Role::kParallelism;
    return out;
  }
  for (const auto& text : texts) {
    if (text.empty()) return fail(Errc::kInvalid, fmt::format("--knob {}: a level is empty", name));
    if (const auto number = to_number(text, name)) out.levels.emplace_back(*number);
  }
  if (out.levels.size() != texts.size()) {  // labels, in the order they were typed
    out.role = Role::kCategory;
    out.levels.assign(texts.begin(), texts.end());
  }
  auto sorted = out.levels;
  std::sort(sorted.begin(), sorted.end());
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) {
    return fail(Errc::kInvalid, fmt::format("--knob {} repeats a level", name));
  }
  if (out.ordered()) out.levels = std::move(sorted);
  return out;
}

/// The knobs that stand in the command (`names`) and are none of the machine's; takes their levels out of `wanted`. `told`: it is told its
/// setting, so that they need not stand in it.
Result<std::vector<Parameter>> own_parameters(std::vector<std::string> names, bool told, const Machine& machine, Levels& wanted) {
  std::set<std::string> usual, by_request;
  for (const auto& knob : machine.knobs) usual.insert(knob->parameter().name);
  for (const auto& knob : machine.knobs_by_request) by_request.insert(knob->parameter().name);
  std::vector<Parameter> out;
  for (const auto& [name, levels] : wanted) {
    const bool of_machine = usual.contains(name) || by_request.contains(name);
    if (told && !of_machine && std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  for (const auto& name : names) {
    const auto it = wanted.find(name);
    const bool has_levels = it != wanted.end() && !it->second.empty();
    if (usual.contains(name) && (it == wanted.end() || has_levels)) continue;
    if (!has_levels) {
      return fail(Errc::kInvalid, fmt::format("--command: nothing says what {{{}}} may be", name),
                  fmt::format("give its levels with --knob {}=LEVEL,LEVEL,...; {{{{{}}}}} stands for these characters", name, name));
    }
    if (by_request.contains(name)) continue;
    TRY(auto parameter, own_parameter(name, it->second));
    out.push_back(std::move(parameter));
    wanted.erase(it);
  }
  for (const auto& [name, levels] : wanted) {
    if (usual.contains(name) || by_request.contains(name)) continue;
    return fail(Errc::kInvalid, fmt::format("--knob {}: the command has no {{{}}}, and this machine no such knob", name, name),
                "'polythrottle probe' lists those of the machine");
  }
  return out;
}

}  // namespace

Result<OpenedDevice> open_command_device(const TuneOptions& options, Host& host) {
  TRY_STATUS(check_flags(options));
  TRY(auto line, CommandLine::parse(*options.command));
  const std::shared_ptr<Launcher> launcher = real_launcher(host.clock);
  TRY(auto reading, options.patterns.empty() ? reading_of(options.read) : reading_by_patterns(options.patterns));
  TRY(auto environment, parse_environment(options.environment));
  std::vector<std::string> names = line.names();
  for (const auto& [variable, text] : environment) {
    for (const auto& name : text.names()) {
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  }
  if (const std::string program = line.program(); !program.empty()) TRY_STATUS(launcher->check(program));
  TRY(auto meters, meter_options(options.meters));
  meters.work_cpu = [launcher] { return launcher->cpu_time(); };
  meters.worker = "the command's process group";
  TRY(auto wanted, parse_knob_flags(options.knobs));
  Machine machine = discover(host, meters);
  if (reading.talks) TRY_STATUS(leave_quota_out(machine, wanted));
  TRY(auto own, own_parameters(std::move(names), reading.talks, machine, wanted));
  // It would be the memory of this process.
  std::erase_if(machine.gauges, [](const auto& gauge) { return gauge->name() == kMemory; });
  // Where there is a GPU, that is what a command is taken to run on: it tells the search what to expect, and which meter is the usual one.
  const bool gpu =
      !machine.gpu.empty() ||
      std::any_of(machine.knobs.begin(), machine.knobs.end(), [](const auto& knob) { return knob->parameter().name.starts_with("gpu_"); });
  TRY(auto parts, make_machine_space(own, machine, wanted, options, {}, gpu ? Runs::kOnGpu : Runs::kOnCpu));

  Device device{.owner = launcher, .name = "command", .host = host};
  TRY_STATUS(fill_device(device, machine, std::move(parts), options));
  const std::string read_as = reading.name == "json" ? std::string() : fmt::format(" ({})", reading.name);
  CommandOptions load{.line = line,
                      .parameters = std::move(own),
                      .reading = std::move(reading),
                      .environment = std::move(environment),
                      .wanted = wanted_latencies(options),
                      .window = Seconds(options.window_seconds)};
  if (options.command_timeout_seconds) load.patience = Seconds(*options.command_timeout_seconds);
  if (options.warm_up_seconds) load.longest_warm_up = Seconds(*options.warm_up_seconds);
  device.workload = command_workload(host.clock, *launcher, std::move(load));

  StudyFacts facts;
  facts[fact::kDeviceText] = machine.description;
  facts[fact::kCommand] = line.text();
  facts[fact::kLoad] = fmt::format("closed loop: latency of one batch as the command reports it{}, back to back", read_as);
  Json words = Json::object();
  for (const auto& [key, value] : machine_facts(host)) words[key] = value;
  facts[fact::kMachine] = words.dump();
  return OpenedDevice{std::move(device), std::move(facts)};
}

}  // namespace polythrottle
