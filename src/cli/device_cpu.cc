// This machine's CPU running an ONNX model.

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <thread>

#include "arrivals/arrivals.h"
#include "cli/cli.h"
#include "cli/open_device.h"
#include "engine/engine.h"
#include "platform/platform.h"
#include "study/summary.h"
#include "workload/model.h"

namespace polythrottle {
namespace {

Result<double> to_number(const std::string& text, const std::string& what) {
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size())
    return fail(Errc::kInvalid, fmt::format("{}: '{}' is no number", what, text));
  return value;
}

Result<EngineOptions> engine_options(const TuneOptions& options) {
  EngineOptions out;
  out.provider = options.provider;
  out.seed = options.seed;
  for (const auto& text : options.dimensions) {
    TRY(const auto pairs, parse_pairs(text));
    for (const auto& [name, value] : pairs) {
      TRY(const double number, to_number(value, "--dim " + name));
      if (number < 1.0 || number > 1e9 || number != static_cast<double>(static_cast<std::int64_t>(number))) {
        return fail(Errc::kInvalid, fmt::format("--dim {}={}: a size is a whole number from 1", name, value));
      }
      out.dimensions[name] = static_cast<std::int64_t>(number);
    }
  }
  for (const auto& text : options.inputs) {
    TRY(const auto pairs, parse_pairs(text));
    for (const auto& [name, value] : pairs) {
      TRY(out.inputs[name], to_number(value, "--input " + name));
    }
  }
  return out;
}

Result<MeterOptions> meter_options(const TuneOptions& options) {
  MeterOptions out;
  if (options.power_model.empty()) return out;
  TRY(const auto pairs, parse_pairs(options.power_model));
  for (const auto& [name, value] : pairs) {
    TRY(const double watts, to_number(value, "--power-model " + name));
    if (watts <= 0.0 || watts > 1e4)
      return fail(Errc::kInvalid, fmt::format("--power-model {}={}: watts per CPU, above zero", name, value));
    if (name == "idle") {
      out.idle_watts_per_cpu = watts;
    } else if (name == "active") {
      out.active_watts_per_cpu = watts;
    } else {
      return fail(Errc::kInvalid, fmt::format("--power-model has no '{}'", name), "idle=W,active=W");
    }
  }
  return out;
}

/// The levels of a knob of the program's own: positive whole numbers.
Result<std::vector<int>> own_levels(const std::string& name, const std::vector<std::string>& texts, int reference) {
  if (texts.empty()) return std::vector<int>{reference};
  std::vector<int> out;
  for (const auto& text : texts) {
    TRY(const double number, to_number(text, "--knob " + name));
    if (number < 1.0 || number > 65536.0 || number != static_cast<double>(static_cast<int>(number))) {
      return fail(Errc::kInvalid, fmt::format("--knob {}: '{}' is no whole number from 1 to 65536", name, text));
    }
    out.push_back(static_cast<int>(number));
  }
  std::sort(out.begin(), out.end());
  if (std::adjacent_find(out.begin(), out.end()) != out.end()) return fail(Errc::kInvalid, fmt::format("--knob {} repeats a level", name));
  return out;
}

/// The load of an open loop, with its description; nothing for a closed one.
Result<std::optional<Arrivals>> arrivals_of(const TuneOptions& options, std::string& description) {
  if (!options.rate && options.arrivals.empty()) {
    description = "closed loop: latency of one batch, back to back (--rate measures at the load a device really sees)";
    return std::nullopt;
  }
  const std::string kind = options.arrivals.empty() ? "poisson" : options.arrivals;
  if (kind == "poisson" || kind == "uniform") {
    if (!options.rate) return fail(Errc::kInvalid, fmt::format("--arrivals {} needs --rate", kind));
    TRY(auto arrivals, kind == "poisson" ? Arrivals::poisson(*options.rate, options.seed) : Arrivals::uniform(*options.rate));
    description =
        fmt::format("open loop: {} arrivals at {:.4g} /s; latency from arrival to answer, idle energy included", kind, *options.rate);
    return arrivals;
  }
  TRY(auto arrivals, Arrivals::load(kind, options.rate));
  description =
      fmt::format("open loop: arrivals of {} at {:.4g} /s; latency from arrival to answer, idle energy included", kind, arrivals.rate());
  return arrivals;
}

/// Takes the wanted meter out of those found.
Result<std::unique_ptr<Meter>> choose_meter(Machine& machine, const std::string& wanted) {
  for (auto& meter : machine.meters) {
    if (wanted.empty() || meter->info().name == wanted) return std::move(meter);
  }
  for (const auto& absence : machine.absent_meters) {
    if (absence.name == wanted) {
      Error error = absence.why;
      error.what = fmt::format("meter {}: {}", wanted, error.what);
      return tl::unexpected<Error>(std::move(error));
    }
  }
  std::string names;
  for (const auto* driver : meter_drivers()) names += fmt::format("{}{}", names.empty() ? "" : ", ", driver->name);
  return fail(Errc::kInvalid, fmt::format("unknown meter '{}'", wanted), "one of " + names);
}

}  // namespace

Result<OpenedDevice> open_cpu_device(const TuneOptions& options, Host& host) {
  if (options.model.empty()) return fail(Errc::kInvalid, "--model is missing", "the device cpu runs an ONNX file");
  if (options.pace_seconds > 0.0) return fail(Errc::kInvalid, "--pace is for recorded tables");
  TRY(auto engine, engine_options(options));
  TRY(const auto meter_wanted, meter_options(options));
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

  // Reference: batch 1 (or the smallest), one instance, every CPU, and every limit of the machine at its highest.
  const bool single = load.batches.empty();
  if (single) return fail(Errc::kInvalid, "--knob batch has no level");
  std::vector<int> instances = load.instances;
  Config reference;
  std::vector<Parameter> parameters;
  std::vector<std::unique_ptr<Knob>> knobs;
  TRY(auto workload, model_workload(
                         host.clock,
                         [path = options.model, engine](int threads, std::uint64_t seed) mutable {
                           EngineOptions one = engine;
                           one.threads = threads;
                           one.seed = seed;
                           return open_onnx(path, one);
                         },
                         load));
  for (const auto& p : workload->parameters()) {
    parameters.push_back(p);
    reference.set(p.name, p.name == "threads" ? p.levels.back() : p.levels.front());
  }
  for (auto& knob : machine.knobs) {
    Parameter p = knob->parameter();
    reference.set(p.name, p.levels.back());
    if (auto it = wanted.find(p.name); it != wanted.end()) {
      if (it->second.empty()) {  // off: neither moved nor part of the space
        Config without;
        for (const auto& [name, value] : reference.entries()) {
          if (name != p.name) without.set(name, value);
        }
        reference = without;
        wanted.erase(it);
        continue;
      }
      std::vector<Value> levels;
      for (const auto& text : it->second) {
        TRY(auto level, parse_level(p, text));
        levels.push_back(std::move(level));
      }
      std::erase_if(p.levels, [&](const Value& level) { return std::find(levels.begin(), levels.end(), level) == levels.end(); });
      reference.set(p.name, p.levels.back());
      wanted.erase(it);
    }
    parameters.push_back(std::move(p));
    knobs.push_back(std::move(knob));
  }
  if (!wanted.empty()) {
    std::string names;
    for (const auto& p : parameters) names += (names.empty() ? "" : ", ") + p.name;
    return fail(Errc::kInvalid, fmt::format("--knob: this machine has no knob '{}'", wanted.begin()->first),
                "it has " + names + "; 'polythrottle probe' says more");
  }
  TRY(reference, parse_reference(options.reference, parameters, reference));
  Space::Coupling allowed;
  if (choose_parallelism) {
    // More spinning threads than CPUs only fight each other (measured: half the throughput), so such settings are asked for by name.
    allowed = [cpus](const Config& c) { return *c.number("threads") * *c.number("instances") <= cpus; };
  }
  TRY(auto space, Space::product(parameters, allowed, reference));
  if (!space.find(reference)) {
    return fail(Errc::kInvalid, fmt::format("the reference {} is not in the space", reference.text()),
                "threads x instances is at most the number of CPUs");
  }
  if (!space.thinned().empty()) notes.push_back(space.thinned());
  TRY(auto meter, choose_meter(machine, options.meter));

  const MeterInfo& info = meter->info();
  Device device{
      .name = options.device, .description = machine.description, .host = host, .space = std::move(space), .reference = reference};
  device.energy_provenance = info.estimated ? Provenance::kEstimated : Provenance::kMeasured;
  device.meter = info.name;
  device.meter_boundary = fmt::format("meter {}, {}; error {}", info.name, info.boundary, info.error);
  device.open_loop = load.arrivals.has_value();
  for (const auto& row : metric_table()) {
    if (row.name == kEnergyProxy || row.name == kTemperature || row.name == kMemory) continue;
    device.metrics.emplace_back(row.name);
  }
  for (const auto& gauge : machine.gauges) device.metrics.push_back(gauge->name());
  if (info.estimated) {
    for (const auto& absence : machine.absent_meters)
      notes.push_back(fmt::format("energy is estimated; meter {}: {}", absence.name, absence.why.text()));
  }
  device.notes = notes;
  device.energy_meter = std::move(meter);
  device.gauges = std::move(machine.gauges);
  device.knobs = std::move(knobs);
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
