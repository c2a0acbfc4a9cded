// A server that already runs on this machine, under open-loop load.

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/cli.h"
#include "cli/machine_space.h"
#include "cli/open_device.h"
#include "cli/target.h"
#include "platform/platform.h"
#include "server/token.h"
#include "study/summary.h"
#include "workload/server.h"

namespace polythrottle {
namespace {

constexpr Seconds kPatience{10};  // for an answer; what is not answered by then counts as that late
constexpr std::size_t kConnections = 256;

Status check_flags(const TuneOptions& o) {
  if (!o.rate && o.arrivals.empty()) {
    return fail(Errc::kInvalid, "--target needs --rate", "requests per second, as they come in use");
  }
  if (o.batch_delay_seconds) return fail(Errc::kInvalid, "--batch-delay is for a model run here", "the server batches as it is set up");
  if (o.pace_seconds > 0.0) return fail(Errc::kInvalid, "--pace is for recorded tables");
  if (o.warm_up_seconds || o.command_timeout_seconds || !(o.read.empty() && o.patterns.empty() && o.environment.empty())) {
    return fail(Errc::kInvalid, "--warm-up, --command-timeout, --read, --pattern and --env are for --command");
  }
  if (!o.precision.empty() || !o.space.empty() || !o.faults.empty()) {
    return fail(Errc::kInvalid, "--precision, --space and --faults are for simulated boards");
  }
  return {};
}

/// The server is in a control group of its own, which this knob does not reach.
Status leave_quota_out(Machine& machine, std::map<std::string, std::vector<std::string>>& wanted) {
  const std::string kQuota = "cpu_quota_ratio";
  if (const auto it = wanted.find(kQuota); it != wanted.end() && !it->second.empty()) {
    return fail(Errc::kInvalid, fmt::format("--knob {} does not go with --target", kQuota),
                "it limits what polythrottle runs itself; the server is another's process");
  }
  std::erase_if(machine.knobs, [&](const auto& knob) { return knob->parameter().name == kQuota; });
  wanted.erase(kQuota);
  return {};
}

/// What identifies the model: its name and what it takes and gives, as the server says.
std::string metadata(const ModelInfo& model) {
  std::string out;
  for (const auto* list : {&model.inputs, &model.outputs}) {
    for (const auto& tensor : *list) {
      out += (out.empty() ? "" : ", ") + tensor.name + ' ' + tensor.type + '[';
      for (const auto length : tensor.shape) out += fmt::format("{} ", length);
      out += ']';
    }
    out += list == &model.inputs ? " ->" : "";
  }
  return out;
}

/// CPU time of everything on this machine since it was started: the server's processes are not ours to ask. 0 where nobody says.
Seconds machine_cpu(const Host& host) {
  constexpr double kTicks = 100.0;  // a second, for user space, on every Linux (Documentation/filesystems/proc.rst, /proc/stat)
  const auto text = host.files.read("/proc/stat");
  if (!text) return Seconds(0);
  std::istringstream line(*text);
  std::string label;
  double user = 0.0, nice = 0.0, system = 0.0, idle = 0.0, waits = 0.0, irq = 0.0, soft = 0.0;
  line >> label >> user >> nice >> system >> idle >> waits >> irq >> soft;
  return line && label == "cpu" ? Seconds((user + nice + system + irq + soft) / kTicks) : Seconds(0);
}

}  // namespace

Result<OpenedDevice> open_target_device(const TuneOptions& options, Host& host) {
  TRY_STATUS(check_flags(options));
  StudyFacts facts;
  const auto arrivals = arrivals_of(options, facts[fact::kLoad]);
  if (!arrivals) return tl::unexpected<Error>(arrivals.error());
  const auto url = HttpUrl::parse(options.target);
  if (url && !server::is_loopback(url->host)) {
    return fail(Errc::kInvalid, fmt::format("--target {}: the knobs are of this machine, the server may be on another", options.target),
                "run tune where the server runs, with --target http://127.0.0.1:PORT");
  }
  TRY(auto target, open_target({.target = options.target,
                                .model = options.model,
                                .inputs = options.inputs,
                                .dimensions = options.dimensions,
                                .seed = options.seed}));
  TRY(auto meters, meter_options(options.meters));
  meters.work_cpu = [&host] { return machine_cpu(host); };
  meters.worker = "everything on this machine, the load generator too";
  TRY(auto wanted, parse_knob_flags(options.knobs));
  Machine machine = discover(host, meters);
  TRY_STATUS(leave_quota_out(machine, wanted));
  // It would be the memory of this process.
  std::erase_if(machine.gauges, [](const auto& gauge) { return gauge->name() == kMemory; });
  const bool gpu = options.provider != "cpu" || !machine.gpu.empty();
  TRY(auto parts, make_machine_space({}, machine, wanted, options, {}, gpu ? Runs::kOnGpu : Runs::kOnCpu));
  Device device{.name = "target", .host = host};
  device.open_loop = true;
  TRY_STATUS(fill_device(device, machine, std::move(parts), options));

  facts[fact::kLoad] +=
      fmt::format(" to '{}' at http://{}{}; {}", options.model, target.server.authority(), target.server.prefix, target.payload_text);
  facts[fact::kDeviceText] = machine.description + "; " + target.model.runtime;
  facts[fact::kModel] = options.model;
  facts[fact::kSha256] = metadata(target.model);
  Json words = Json::object();
  for (const auto& [key, value] : machine_facts(host)) words[key] = value;
  facts[fact::kMachine] = words.dump();
  device.workload = server_workload(host.clock, {.load = {.server = std::move(target.server),
                                                          .model = options.model,
                                                          .payloads = std::move(target.payloads),
                                                          .arrivals = arrivals->value(),
                                                          .connections = kConnections,
                                                          .patience = kPatience}});
  return OpenedDevice{std::move(device), std::move(facts)};
}

}  // namespace polythrottle
