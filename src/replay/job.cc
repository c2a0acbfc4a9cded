#include "replay/job.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <set>
#include <span>

#include "replay/duration.h"

namespace polythrottle::replay {
namespace {

constexpr std::array<std::string_view, 8> kJobKeys = {"batch", "outputs", "train", "iterations", "at", "pieces", "deadline", "precision"};
constexpr std::span<const std::string_view> kStepKeys = std::span(kJobKeys).first<3>();

std::string names(std::span<const std::string_view> keys) {
  std::string out;
  for (const auto key : keys) {
    out += fmt::format("{}{}{}", out.empty() ? "" : ", ", key, key == "train" ? " (head, all or a number of layers)" : "");
  }
  return "the keys are " + out;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> out;
  while (true) {
    const std::size_t at = text.find(separator);
    out.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return out;
    text.remove_prefix(at + 1);
  }
}

Result<long> whole(std::string_view key, std::string_view text, long largest) {
  long number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number < 1 || number > largest) {
    return fail(Errc::kInvalid, fmt::format("--finetune {}: '{}' is no whole number from 1 to {}", key, text, largest));
  }
  return number;
}

Result<Seconds> time(std::string_view key, std::string_view text) {
  auto parsed = parse_duration(text);
  if (!parsed) parsed.error().what = fmt::format("--finetune {}: {}", key, parsed.error().what);
  return parsed;
}

Status check_pieces(const FinetuneJob& job) {
  for (std::size_t i = 0; i < job.pieces.size(); ++i) {
    if (job.batch % job.pieces[i] != 0) {
      return fail(Errc::kInvalid, fmt::format("--finetune pieces: {} does not divide the batch of {}", job.pieces[i], job.batch));
    }
    if (i > 0 && job.pieces[i] >= job.pieces[i - 1]) {
      return fail(Errc::kInvalid, "--finetune pieces: each is smaller than the one before, as in pieces=64/32/16");
    }
  }
  for (const int piece : job.pieces) {
    if (piece % job.pieces.back() == 0) continue;
    return fail(Errc::kInvalid, fmt::format("--finetune pieces: {} is no multiple of the smallest, {}", piece, job.pieces.back()),
                "every rest of a step must be a sum of pieces, as with pieces=64/32/16");
  }
  if (job.pieces.front() != job.batch) {
    return fail(Errc::kInvalid,
                fmt::format("--finetune pieces: the first is the whole step of {}, as in pieces={}/...", job.batch, job.batch));
  }
  return {};
}

Result<FinetuneJob> parse(std::string_view text, std::span<const std::string_view> keys) {
  constexpr long kMost = 1'000'000;
  FinetuneJob job;
  std::set<std::string_view> seen;
  for (const std::string_view entry : split(text, ',')) {
    const std::size_t equals = entry.find('=');
    const std::string_view key = entry.substr(0, equals);
    const std::string_view value = equals == std::string_view::npos ? std::string_view() : entry.substr(equals + 1);
    if (equals == std::string_view::npos || value.empty()) {
      return fail(Errc::kInvalid, fmt::format("--finetune: '{}' is not KEY=VALUE", entry), names(keys));
    }
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
      return fail(Errc::kInvalid, fmt::format("--finetune: unknown key '{}'", key), names(keys));
    }
    if (!seen.insert(key).second) return fail(Errc::kInvalid, fmt::format("--finetune: {} is given twice", key));
    if (key == "batch") {
      TRY(const long number, whole(key, value, 65536));
      job.batch = static_cast<int>(number);
    } else if (key == "iterations") {
      TRY(job.iterations, whole(key, value, kMost));
    } else if (key == "outputs") {
      TRY(const long number, whole(key, value, kMost));
      job.outputs = static_cast<int>(number);
    } else if (key == "at") {
      TRY(job.at, time(key, value));
    } else if (key == "deadline") {
      TRY(const Seconds deadline, time(key, value));
      if (deadline <= Seconds(0)) return fail(Errc::kInvalid, "--finetune deadline: give a time above zero");
      job.deadline = deadline;
    } else if (key == "pieces") {
      job.pieces.clear();
      for (const std::string_view piece : split(value, '/')) {
        TRY(const long number, whole(key, piece, 65536));
        job.pieces.push_back(static_cast<int>(number));
      }
    } else if (key == "train") {
      long layers = value == "head" ? 1 : simulation::kAllLayers;
      if (value != "head" && value != "all") {
        TRY(layers, whole(key, value, kMost));
      }
      job.trained_layers = static_cast<int>(layers);
    } else {
      const auto precision = simulation::find_precision(value);
      if (!precision) return fail(Errc::kInvalid, "--finetune " + precision.error().what, precision.error().hint);
      job.precision = *precision;
    }
  }
  if (!seen.contains("pieces")) job.pieces = {job.batch};
  TRY_STATUS(check_pieces(job));
  return job;
}

}  // namespace

Result<FinetuneJob> parse_finetune(std::string_view text) { return parse(text, kJobKeys); }

Result<FinetuneJob> parse_finetune_step(std::string_view text) { return parse(text, kStepKeys); }

std::string to_text(const FinetuneJob& job) {
  std::string out = fmt::format("batch={},iterations={},outputs={}", job.batch, job.iterations, job.outputs);
  if (job.at > Seconds(0)) out += fmt::format(",at={}s", job.at.count());
  if (job.pieces.size() > 1) out += fmt::format(",pieces={}", fmt::join(job.pieces, "/"));
  if (job.deadline) out += fmt::format(",deadline={}s", job.deadline->count());
  if (job.trained_layers == simulation::kAllLayers) {
    out += ",train=all";
  } else {
    out += job.trained_layers == 1 ? ",train=head" : fmt::format(",train={}", job.trained_layers);
  }
  return out + fmt::format(",precision={}", simulation::to_string(job.precision));
}

// --- The simulator -------------------------------------------------------------------------------------------------------------

namespace {

simulation::Training training_of(const FinetuneJob& job) { return {.output_dimension = job.outputs, .trained_layers = job.trained_layers}; }

interference::WorkCost cost_of(const simulation::WorkCounts& counts) {
  return {.macs = counts.macs, .weights = counts.weights, .activations = counts.activations, .kernels = counts.kernels};
}

}  // namespace

simulation::WorkSpec step_work(const FinetuneJob& job, const std::string& network, int items) {
  return {.network = network,
          .precision = job.precision,
          .batch = items,
          .training = true,
          .output_dimension = job.outputs,
          .trained_layers = job.trained_layers};
}

interference::WorkCost inference_cost(const simulation::Network& network) { return cost_of(simulation::inference_counts(network)); }

interference::WorkCost training_cost(const simulation::Network& network, const FinetuneJob& job) {
  return cost_of(simulation::training_counts(network, training_of(job)));
}

MemoryNeed memory_need(const simulation::Board& board, const simulation::Network& network, simulation::Precision precision,
                       int largest_batch, const FinetuneJob& job) {
  return {.job = simulation::training_footprint(network, job.precision, job.batch, training_of(job)).total(),
          .inference = simulation::inference_footprint(network, precision, largest_batch).total(),
          .board = board.memory()};
}

serving::JobSpec job_spec(const simulation::Network& network, const FinetuneJob& job, std::string name) {
  serving::JobSpec spec;
  spec.name = std::move(name);
  spec.cost = training_cost(network, job);
  spec.items = job.batch;
  spec.steps = job.iterations;
  spec.pieces = job.pieces;
  return spec;
}

Seconds step_seconds(const simulation::Board& board, const simulation::Network& network, const FinetuneJob& job, int items,
                     const simulation::Setting& setting) {
  simulation::Setting at_ceiling = setting;
  at_ceiling.gpu_min = setting.gpu_max;
  return simulation::steady_state(simulation::training_plan(board, network, job.precision, items, training_of(job)), at_ceiling).period;
}

Seconds job_work(const simulation::Board& board, const simulation::Network& network, const FinetuneJob& job,
                 const simulation::Setting& setting) {
  double least = 0.0;
  for (const int piece : job.pieces) {
    const double step = step_seconds(board, network, job, piece, setting).count() * (job.batch / piece);
    if (least == 0.0 || step < least) least = step;
  }
  return Seconds(least * static_cast<double>(job.iterations));
}

}  // namespace polythrottle::replay
