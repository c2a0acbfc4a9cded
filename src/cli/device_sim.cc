// A simulated Jetson: the same knobs, meters and lease as on the board, below them a machine in virtual time.

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/cli.h"
#include "cli/machine_space.h"
#include "cli/open_device.h"
#include "engine/simulated.h"
#include "host/simulation/machine.h"
#include "platform/platform.h"
#include "study/summary.h"
#include "workload/model.h"

namespace polythrottle {
namespace {

namespace fs = std::filesystem;

/// Everything a device on a simulated board stands on; the lease record is a scratch file, for the machine dies with this process.
struct SimulatedMachine {
  std::unique_ptr<simulation::Machine> machine;
  std::unique_ptr<Host> host;
  std::string folder;
  ~SimulatedMachine() {
    std::error_code ignored;
    if (!folder.empty()) fs::remove_all(folder, ignored);
  }
};

Result<std::string> scratch_folder() {
  std::string pattern = (fs::temp_directory_path() / "polythrottle-sim.XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) return tl::unexpected<Error>(system_error("make folder " + pattern, errno));
  return pattern;
}

/// --space as --knob flags: which knobs stay where they were found.
Status apply_space(const std::string& space, std::map<std::string, std::vector<std::string>>& wanted) {
  std::vector<std::string> off;
  if (space == "paper") {
    off = {"cpu_hz"};
  } else if (space == "paper-7.2") {
    off = {"cpu_hz", "gpu_min_hz"};
  } else if (!space.empty() && space != "full") {
    return fail(Errc::kInvalid, fmt::format("unknown --space '{}'", space), "one of full, paper, paper-7.2");
  }
  for (const auto& name : off) {
    if (!wanted.emplace(name, std::vector<std::string>{}).second) {
      return fail(Errc::kInvalid, fmt::format("--space {} leaves {} out, and --knob asks for it", space, name));
    }
  }
  return {};
}

}  // namespace

Result<OpenedDevice> open_simulated_device(const TuneOptions& options, const std::string& board) {
  if (options.model.empty()) {
    std::string names;
    for (const auto& network : simulation::networks()) names += (names.empty() ? "" : ", ") + std::string(network.name);
    return fail(Errc::kInvalid, "--model is missing", "one of " + names);
  }
  if (!options.dimensions.empty() || !options.inputs.empty() || options.provider != "cpu") {
    return fail(Errc::kInvalid, "--dim, --input and --provider are for ONNX files");
  }
  if (options.pace_seconds > 0.0 || !options.meters.power_model.empty()) {
    return fail(Errc::kInvalid, "--pace is for recorded tables, --power-model for the device cpu");
  }
  if (!options.meters.external_command.empty() || options.meters.external_error_percent) {
    return fail(Errc::kInvalid, "--external-meter reads a meter of this machine, and a simulated board has its own");
  }
  if (options.rate || !options.arrivals.empty() || options.batch_delay_seconds) {
    return fail(Errc::kInvalid, "simulated boards are measured in closed loop: leave --rate, --arrivals and --batch-delay out");
  }
  const auto usage = [](Error error) {
    error.code = Errc::kInvalid;
    return tl::unexpected<Error>(std::move(error));
  };
  const auto network = simulation::find_network(options.model);
  if (!network) return usage(network.error());
  const auto precision = simulation::find_precision(options.precision.empty() ? "fp16" : options.precision);
  if (!precision) return usage(precision.error());

  auto owner = std::make_shared<SimulatedMachine>();
  auto machine = simulation::Machine::make(board, {.seed = options.seed, .faults = options.faults});
  if (!machine) return usage(machine.error());
  owner->machine = std::move(*machine);
  owner->host = std::make_unique<Host>(owner->machine->host());
  TRY(owner->folder, scratch_folder());
  Host& host = *owner->host;

  TRY(auto wanted, parse_knob_flags(options.knobs));
  TRY_STATUS(apply_space(options.space, wanted));
  Machine found = discover(host, {});
  ModelOptions load{.threads = {1}, .instances = {1}, .seed = options.seed};
  if (auto it = wanted.find("batch"); it != wanted.end()) {
    TRY(load.batches, own_levels("batch", it->second, 1));
    wanted.erase(it);
  }
  const SimulatedEngineOptions engine{.network = options.model, .precision = *precision};
  const auto open = [&board_machine = *owner->machine, engine](int, std::uint64_t) { return open_simulated(board_machine, engine); };
  TRY(auto workload, model_workload(host.clock, open, load));
  // Threads and instances are no knobs of a GPU that runs one batch at a time.
  std::vector<Parameter> own;
  for (const auto& p : workload->parameters()) {
    if (p.role == Role::kBatch) own.push_back(p);
  }
  TRY(auto parts, make_machine_space(own, found, wanted, options, {}, Runs::kOnGpu));

  Device device{.owner = owner, .name = options.device, .host = host};
  device.lease_record = owner->folder + "/lease.json";
  TRY_STATUS(fill_device(device, found, std::move(parts), options));
  device.energy_provenance = Provenance::kSimulated;
  device.workload = std::move(workload);

  StudyFacts facts;
  facts[fact::kDeviceText] = "simulated " + owner->machine->board().title;
  facts[fact::kModel] = fmt::format("{} {}", options.model, simulation::to_string(*precision));
  facts[fact::kSha256] = facts[fact::kModel];
  facts[fact::kLoad] = "closed loop: latency of one batch, back to back";
  Json words = Json::object();
  for (const auto& [key, value] : machine_facts(host)) words[key] = value;
  facts[fact::kMachine] = words.dump();
  return OpenedDevice{std::move(device), std::move(facts)};
}

}  // namespace polythrottle
