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
  return {};
}

/// A knob of the command's own, by the levels typed for it.
Result<Parameter> own_parameter(const std::string& name, const std::vector<std::string>& texts) {
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

/// The knobs that stand in the command and are none of the machine's; takes their levels out of `wanted`.
Result<std::vector<Parameter>> own_parameters(const CommandLine& line, const Machine& machine, Levels& wanted) {
  std::set<std::string> usual, by_request;
  for (const auto& knob : machine.knobs) usual.insert(knob->parameter().name);
  for (const auto& knob : machine.knobs_by_request) by_request.insert(knob->parameter().name);
  std::vector<Parameter> out;
  for (const auto& name : line.names()) {
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
  if (const std::string program = line.program(); !program.empty()) TRY_STATUS(launcher->check(program));
  TRY(auto meters, meter_options(options.meters));
  meters.work_cpu = [launcher] { return launcher->cpu_time(); };
  meters.worker = "the command's process group";
  TRY(auto wanted, parse_knob_flags(options.knobs));
  Machine machine = discover(host, meters);
  TRY(auto own, own_parameters(line, machine, wanted));
  // It would be the memory of this process.
  std::erase_if(machine.gauges, [](const auto& gauge) { return gauge->name() == kMemory; });
  // Where there is a GPU whose clock can be set, that is what a command is taken to run on; it only tells the search what to expect.
  const bool gpu =
      std::any_of(machine.knobs.begin(), machine.knobs.end(), [](const auto& knob) { return knob->parameter().name.starts_with("gpu_"); });
  TRY(auto parts, make_machine_space(own, machine, wanted, options, {}, gpu ? Runs::kOnGpu : Runs::kOnCpu));

  Device device{.owner = launcher, .name = "command", .host = host};
  TRY_STATUS(fill_device(device, machine, std::move(parts), options));
  CommandOptions load{.line = line, .parameters = std::move(own)};
  if (options.command_timeout_seconds) load.patience = Seconds(*options.command_timeout_seconds);
  if (options.warm_up_seconds) load.longest_warm_up = Seconds(*options.warm_up_seconds);
  device.workload = command_workload(host.clock, *launcher, std::move(load));

  StudyFacts facts;
  facts[fact::kDeviceText] = machine.description;
  facts[fact::kCommand] = line.text();
  facts[fact::kLoad] = "closed loop: latency of one batch as the command reports it, back to back";
  Json words = Json::object();
  for (const auto& [key, value] : machine_facts(host)) words[key] = value;
  facts[fact::kMachine] = words.dump();
  return OpenedDevice{std::move(device), std::move(facts)};
}

}  // namespace polythrottle
