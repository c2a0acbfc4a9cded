// This machine's CPU running an ONNX model.

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>

#include "arrivals/spec.h"
#include "cli/cli.h"
#include "cli/dimensions.h"
#include "cli/machine_space.h"
#include "cli/open_device.h"
#include "engine/engine.h"
#include "platform/platform.h"
#include "study/summary.h"
#include "workload/model.h"

namespace polythrottle {
namespace {

Result<EngineOptions> engine_options(const TuneOptions& options) {
  EngineOptions out;
  out.provider = options.provider;
  out.seed = options.seed;
  TRY(out.dimensions, parse_dimensions(options.dimensions));
  for (const auto& text : options.inputs) {
    TRY(const auto pairs, parse_pairs(text));
    for (const auto& [name, value] : pairs) {
      TRY(out.inputs[name], to_number(value, "--input " + name));
    }
  }
  return out;
}

}  // namespace

Result<std::optional<Arrivals>> arrivals_of(const TuneOptions& options, std::string& description) {
  if (!options.rate && options.arrivals.empty()) {
    description = "closed loop: latency of one batch, back to back (--rate measures at the load a device really sees)";
    return std::nullopt;
  }
  TRY(const auto spec, ArrivalSpec::parse(options.arrivals.empty() ? "poisson" : options.arrivals));
  const bool generated = spec.kind == ArrivalSpec::Kind::kPoisson || spec.kind == ArrivalSpec::Kind::kUniform;
  if (generated && !options.rate) return fail(Errc::kInvalid, fmt::format("--arrivals {} needs --rate", spec.text()));
  TRY(auto arrivals, spec.open(options.rate, options.seed));
  description = fmt::format("open loop: {} at {:.4g} /s; latency from arrival to answer, idle energy included",
                            generated ? spec.text() + " arrivals" : "arrivals of " + spec.text(), arrivals.rate());
  return arrivals;
}

Result<OpenedDevice> open_cpu_device(const TuneOptions& options, Host& host) {
  if (options.model.empty()) return fail(Errc::kInvalid, "--model is missing", "the device cpu runs an ONNX file");
  if (options.pace_seconds > 0.0) return fail(Errc::kInvalid, "--pace is for recorded tables");
  TRY(auto engine, engine_options(options));
  TRY(const auto meter_wanted, meter_options(options.meters));
  TRY(auto wanted, parse_knob_flags(options.knobs));
  StudyFacts facts;
  TRY(auto arrivals, arrivals_of(options, facts[fact::kLoad]));
  TRY(const auto model, inspect_onnx(options.model, engine));
  Machine machine = discover(host, meter_wanted);

  const int cpus = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  ModelOptions load{.cpus = cpus, .fixed_batch = model.fixed_batch, .arrivals = std::move(arrivals), .seed = options.seed};
  const bool choose_parallelism = !wanted.contains("threads") && !wanted.contains("instances");
  std::vector<std::string> notes;
  if (model.fixed_batch) {
    notes.push_back(fmt::format("the model's batch is fixed at {}: that knob has one level", *model.fixed_batch));
    if (wanted.contains("batch"))
      return fail(Errc::kInvalid, fmt::format("--knob batch: the model's batch is fixed at {}", *model.fixed_batch));
  }
  if (auto it = wanted.find("batch"); it != wanted.end()) {
    TRY(load.batches, own_levels("batch", it->second, 1));
    wanted.erase(it);
  }
  load.threads = load.instances = parallelism_levels(cpus);
  if (auto it = wanted.find("threads"); it != wanted.end()) {
    TRY(load.threads, own_levels("threads", it->second, cpus));
    wanted.erase(it);
  }
  if (auto it = wanted.find("instances"); it != wanted.end()) {
    TRY(load.instances, own_levels("instances", it->second, 1));
    wanted.erase(it);
  }
  // Sixteen times the CPUs is far past any use; thousands would only bring the machine to its knees.
  for (const auto& [name, levels] : {std::pair{"threads", load.threads}, {"instances", load.instances}}) {
    if (levels.back() > 16 * cpus) {
      return fail(Errc::kInvalid, fmt::format("--knob {}: {} is too many for {} CPUs", name, levels.back(), cpus),
                  fmt::format("at most {}", 16 * cpus));
    }
  }
  if (load.arrivals) {
    if (options.batch_delay_seconds) {
      load.batch_delay = Seconds(*options.batch_delay_seconds);
    } else if (const auto slo = parse_slo(options.slo); slo && !slo->relative) {
      load.batch_delay = Seconds(slo->limit / 2.0);
    }
    facts[fact::kLoad] += fmt::format("; a batch waits up to {} to fill", format_metric(kLatencyMean, load.batch_delay.count()));
  } else if (options.batch_delay_seconds) {
    return fail(Errc::kInvalid, "--batch-delay is for the open loop", "add --rate");
  }

  TRY(auto workload, model_workload(
                         host.clock,
                         [path = options.model, engine](int threads, std::uint64_t seed) mutable {
                           EngineOptions one = engine;
                           one.threads = threads;
                           one.seed = seed;
                           return open_onnx(path, one);
                         },
                         load));
  Space::Coupling allowed;
  if (choose_parallelism) {
    // More spinning threads than CPUs only fight each other (measured: half the throughput), so such settings are asked for by name.
    allowed = [cpus](const Config& c) { return *c.number("threads") * *c.number("instances") <= cpus; };
  }
  const Runs runs = options.provider == "cpu" ? Runs::kOnCpu : Runs::kOnGpu;
  TRY(auto parts, make_machine_space(workload->parameters(), machine, wanted, options, allowed, runs));
  Device device{.name = options.device, .host = host};
  device.notes = notes;
  device.open_loop = load.arrivals.has_value();
  TRY_STATUS(fill_device(device, machine, std::move(parts), options));
  device.workload = std::move(workload);

  facts[fact::kDeviceText] = machine.description + "; " + model.runtime;
  facts[fact::kModel] = options.model;
  facts[fact::kSha256] = model.sha256;
  Json words = Json::object();
  for (const auto& [key, value] : machine_facts(host)) words[key] = value;
  facts[fact::kMachine] = words.dump();
  return OpenedDevice{std::move(device), std::move(facts)};
}

}  // namespace polythrottle
