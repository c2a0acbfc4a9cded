#include "replay/co_runs.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <filesystem>
#include <optional>
#include <utility>

#include "platform/platform.h"
#include "replay/job.h"

namespace polythrottle::replay {
namespace {

using simulation::Machine;
using simulation::WorkId;

const Knob* find(std::span<const std::unique_ptr<Knob>> knobs, std::string_view name) {
  for (const auto& knob : knobs) {
    if (knob->parameter().name == name) return knob.get();
  }
  return nullptr;
}

double highest(const Knob& knob) { return std::get<double>(knob.parameter().levels.back()); }

double nearest(const Knob& knob, double share) {
  const double wanted = share * highest(knob);
  double best = highest(knob);
  for (const Value& level : knob.parameter().levels) {
    const double value = std::get<double>(level);
    if (std::abs(value - wanted) < std::abs(best - wanted)) best = value;
  }
  return best;
}

/// Batches before the first that counts, after a pause or a change of clocks: governors take some tenths of a second to come to rest.
constexpr Seconds kWarmUp{0.5};

struct Span {
  Seconds from{0}, to{0};
};

/// Share of `span` covered by `others`, which do not overlap each other.
double covered(const Span& span, const std::vector<Span>& others) {
  Seconds sum{0};
  for (const Span& other : others) sum += std::max(Seconds(0), std::min(span.to, other.to) - std::max(span.from, other.from));
  return span.to > span.from ? std::clamp(sum / (span.to - span.from), 0.0, 1.0) : 0.0;
}

/// The runs of one machine in progress; the only place that starts work on it.
class Runs {
 public:
  Runs(Machine& machine, const CoRunWork& work) : machine_(machine), work_(work) {}

  Status batch(int size) {
    TRY(const WorkId id, machine_.start({.network = work_.network, .precision = work_.precision, .batch = size}));
    kept(batches_, id);
    return {};
  }
  Status start_step(int items) {
    TRY(step_, machine_.start({.network = work_.network,
                               .precision = work_.step_precision,
                               .batch = items,
                               .training = true,
                               .output_dimension = work_.outputs,
                               .trained_layers = work_.trained_layers}));
    return {};
  }
  bool stepping() {
    // A step that ended while a batch was waited for has left its event behind.
    if (step_ == 0) return false;
    const auto event = machine_.next_event(machine_.host().clock.now());
    if (!event) return true;
    steps_.push_back(span_of(*event));
    step_ = 0;
    return false;
  }
  void finish_step() {
    if (step_ != 0) kept(steps_, std::exchange(step_, 0));
  }
  const std::vector<Span>& batches() const { return batches_; }
  const std::vector<Span>& steps() const { return steps_; }

 private:
  static Span span_of(const Machine::Event& event) { return {event.started.time_since_epoch(), event.finished.time_since_epoch()}; }
  void kept(std::vector<Span>& list, WorkId id) { list.push_back(span_of(machine_.wait_for(id))); }

  Machine& machine_;
  const CoRunWork& work_;
  std::vector<Span> batches_, steps_;
  WorkId step_ = 0;
};

}  // namespace

CoRunWork co_run_work(std::string network, simulation::Precision precision, const FinetuneJob& job) {
  return {.network = std::move(network),
          .precision = precision,
          .step_precision = job.precision,
          .items = job.batch,
          .outputs = job.outputs,
          .trained_layers = job.trained_layers};
}

std::string step_words(const CoRunWork& work) {
  const std::string trained = work.trained_layers == 1                        ? "head"
                              : work.trained_layers == simulation::kAllLayers ? "all"
                                                                              : std::to_string(work.trained_layers);
  std::string out = fmt::format("batch={},outputs={},train={}", work.items, work.outputs, trained);
  if (work.step_precision != work.precision) out += fmt::format(",precision={}", simulation::to_string(work.step_precision));
  return out;
}

Result<CoRunCosts> co_run_costs(const CoRunWork& work) {
  TRY(const simulation::Network* network, simulation::find_network(work.network));
  FinetuneJob job;
  job.outputs = work.outputs;
  job.trained_layers = work.trained_layers;
  return CoRunCosts{inference_cost(*network), training_cost(*network, job)};
}

std::vector<CoRun> co_run_design(const CoRunWork& work, std::size_t settings) {
  std::vector<int> sizes;
  for (int size = 1; size < work.largest_batch; size *= 2) sizes.push_back(size);
  sizes.push_back(work.largest_batch);
  const std::size_t n = sizes.size();
  std::vector<CoRun> design;
  for (std::size_t setting = 0; setting < settings; ++setting) {
    const int items = setting % 2 == 1 ? std::max(1, work.items / 4) : work.items;
    const std::size_t beside = setting == 0 ? 4 : 3, alone = setting == 0 ? 2 : 1;
    // Through all sizes in steps of two, beginning elsewhere each time: small, middle and large ones meet in every configuration.
    for (std::size_t i = 0; i < beside; ++i) design.push_back({setting, sizes[(setting + 2 * i) % n], items, {}});
    for (std::size_t i = 0; i < alone; ++i) design.push_back({setting, sizes[(n - 1 + 2 * (setting + i)) % n], 0, {}});
    if (setting == 0) {
      design.push_back({setting, sizes[n / 2], 0, Seconds(0.2)});
      design.push_back({setting, sizes[0], 0, Seconds(1.0)});
    }
  }
  return design;
}

std::vector<Config> spread_settings(std::span<const std::unique_ptr<Knob>> knobs) {
  constexpr std::array<interference::Speeds, 5> kWanted = {
      {{1.0, 1.0, 1.0}, {0.7, 1.0, 1.0}, {1.0, 0.6, 1.0}, {0.85, 1.0, 0.5}, {0.45, 1.0, 1.0}}};
  std::vector<Config> out;
  for (const auto& wanted : kWanted) {
    Config config;
    const auto set = [&](std::string_view name, double share) {
      if (const Knob* knob = find(knobs, name)) config.set(name, nearest(*knob, share));
    };
    set("gpu_max_hz", wanted.gpu);
    set("mem_hz", wanted.mem);
    set("cpu_hz", wanted.cpu);
    if (std::find(out.begin(), out.end(), config) == out.end()) out.push_back(std::move(config));
  }
  return out;
}

interference::Speeds speeds_of(const Config& config, std::span<const std::unique_ptr<Knob>> knobs) {
  const auto share = [&](std::string_view name) {
    const Knob* knob = find(knobs, name);
    const auto value = config.number(name);
    return knob != nullptr && value ? *value / highest(*knob) : 1.0;
  };
  return {share("gpu_max_hz"), share("mem_hz"), share("cpu_hz")};
}

Result<std::unique_ptr<CoRunClocks>> CoRunClocks::make(Machine& machine) {
  std::unique_ptr<CoRunClocks> out(new CoRunClocks());
  std::string pattern = (std::filesystem::temp_directory_path() / "polythrottle-co-runs.XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) return tl::unexpected<Error>(system_error("make folder " + pattern, errno));
  out->folder_ = pattern;
  out->host_ = std::make_unique<Host>(machine.host());
  out->knobs_ = std::move(discover(*out->host_, {}).knobs);
  std::vector<Knob*> clocks;
  for (const auto& knob : out->knobs_) {
    if (knob->parameter().unit == "Hz") clocks.push_back(knob.get());
  }
  TRY(out->lease_, Lease::take(*out->host_, std::move(clocks), {.record_path = pattern + "/lease.json"}));
  return out;
}

CoRunClocks::~CoRunClocks() {
  lease_.reset();
  std::error_code ignored;
  if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
}

Status CoRunClocks::apply(const Config& config) {
  TRY(const Config now, lease_->apply(config));
  for (const auto& [name, value] : config.entries()) {
    if (now.get(name) == value) continue;
    const auto shown = now.get(name);
    return fail(Errc::kIo, "set " + name + " to " + polythrottle::to_text(value) + ": the board says " +
                               (shown ? polythrottle::to_text(*shown) : "nothing"));
  }
  return {};
}

Result<CoRunResult> make_co_runs(Machine& machine, const CoRunWork& work, std::span<const Config> configs,
                                 std::span<const interference::Speeds> speeds, std::span<const CoRun> design, const CoRunHooks& hooks) {
  TRY(const CoRunCosts costs, co_run_costs(work));
  const auto began = machine.host().clock.now();
  const Joules before = machine.energy().total();

  Runs runs(machine, work);
  struct StepSeen {
    std::size_t setting;
    int items;
  };
  struct BatchSeen {
    CoRun run;
    std::size_t place;  ///< among the runs' batches
  };
  std::vector<BatchSeen> batches;
  std::vector<StepSeen> steps;
  std::optional<std::size_t> setting;
  for (std::size_t i = 0; i < design.size(); ++i) {
    const CoRun& run = design[i];
    if (hooks.stop.stop_requested()) return fail(Errc::kTimeout, "co-runs: stopped");
    if (setting != run.setting) {
      runs.finish_step();
      TRY_STATUS(hooks.apply(configs[run.setting]));
      const auto settled = machine.host().clock.now() + kWarmUp;
      while (machine.host().clock.now() < settled) TRY_STATUS(runs.batch(run.batch));
      setting = run.setting;
    }
    // Alone, or beside a step of another size: the one in progress ends first.
    if (runs.stepping() && run.step_items != steps.back().items) runs.finish_step();
    if (run.step_items > 0 && !runs.stepping()) {
      TRY_STATUS(runs.start_step(run.step_items));
      steps.push_back({run.setting, run.step_items});
    }
    Clock& clock = machine.host().clock;
    if (run.rest > Seconds(0)) clock.sleep_until(clock.now() + std::chrono::duration_cast<Clock::TimePoint::duration>(run.rest));
    TRY_STATUS(runs.batch(run.batch));
    batches.push_back({run, runs.batches().size() - 1});
    hooks.progress(i + 1, design.size());
  }
  runs.finish_step();

  CoRunResult out;
  for (const BatchSeen& seen : batches) {
    const Span& span = runs.batches()[seen.place];
    const double beside = covered(span, runs.steps());
    interference::Situation at{.speeds = speeds[seen.run.setting], .batch = seen.run.batch, .step = {}, .rested = seen.run.rest};
    if (beside > 0.0) at.step = {.cost = costs.step, .items = seen.run.step_items};
    out.samples.batches.push_back({.at = std::move(at), .latency = span.to - span.from, .beside = beside});
    out.runs.push_back(seen.run);
  }
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const Span& span = runs.steps()[i];
    out.samples.steps.push_back({.speeds = speeds[steps[i].setting],
                                 .step = {.cost = costs.step, .items = steps[i].items},
                                 .duration = span.to - span.from,
                                 .beside = covered(span, runs.batches())});
  }
  out.took = machine.host().clock.now() - began;
  out.energy = machine.energy().total() - before;
  return out;
}

}  // namespace polythrottle::replay
