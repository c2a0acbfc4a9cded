#include "trial/trial.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace polythrottle {
namespace {

constexpr std::array kStates{TrialState::kRunning, TrialState::kCompleted, TrialState::kAborted, TrialState::kRefused,
                             TrialState::kFailed,  TrialState::kVoid,      TrialState::kLost};

}  // namespace

const char* to_string(TrialState state) {
  switch (state) {
    case TrialState::kRunning: return "running";
    case TrialState::kCompleted: return "completed";
    case TrialState::kAborted: return "aborted";
    case TrialState::kRefused: return "refused";
    case TrialState::kFailed: return "failed";
    case TrialState::kVoid: return "void";
    case TrialState::kLost: return "lost";
  }
  return "lost";
}

Result<TrialState> parse_trial_state(std::string_view text) {
  for (const auto state : kStates) {
    if (text == to_string(state)) return state;
  }
  return fail(Errc::kCorrupt, fmt::format("unknown trial state '{}'", text));
}

bool repeats(Advice::Kind kind) {
  return kind == Advice::Kind::kVerify || kind == Advice::Kind::kCheck || kind == Advice::Kind::kConfirm;
}

const char* to_string(Advice::Kind kind) {
  switch (kind) {
    case Advice::Kind::kReference: return "reference";
    case Advice::Kind::kFound: return "found";
    case Advice::Kind::kTry: return "try";
    case Advice::Kind::kVerify: return "verify";
    case Advice::Kind::kCheck: return "check";
    case Advice::Kind::kConfirm: return "confirm";
    case Advice::Kind::kStop: return "stop";
  }
  return "try";
}

std::vector<Trial> teaching(std::span<const Trial> history) {
  std::vector<Trial> out;
  for (std::size_t i = 0; i < history.size(); ++i) {
    const Trial& trial = history[i];
    if (trial.state == TrialState::kVoid || trial.state == TrialState::kRunning) continue;
    if (trial.state == TrialState::kLost) {
      const bool lost_before = std::any_of(history.begin(), history.begin() + static_cast<std::ptrdiff_t>(i), [&](const Trial& earlier) {
        return earlier.state == TrialState::kLost && earlier.asked == trial.asked;
      });
      if (!lost_before) continue;
      Trial failed = trial;
      failed.state = failed.outcome.state = TrialState::kFailed;
      failed.outcome.note = "lost twice at this setting: we died both times while it ran";
      out.push_back(std::move(failed));
      continue;
    }
    out.push_back(trial);
  }
  return out;
}

namespace {

/// Mean over repeats of one metric, by the random-effects model (DerSimonian & Laird 1986): where repeats scatter by more than their own
/// errors say, that scatter joins every weight, so that one window that looked precise does not outvote the others.
Estimate pool(std::span<const Estimate> estimates) {
  const auto n = static_cast<double>(estimates.size());
  if (estimates.size() == 1) return estimates.front();
  const bool stated = std::all_of(estimates.begin(), estimates.end(), [](const Estimate& e) { return e.std_error && *e.std_error > 0.0; });
  const auto weighted_mean = [&](double between, double& weights, double& squares) {
    double sum = 0.0;
    weights = squares = 0.0;
    for (const auto& e : estimates) {
      const double w = stated ? 1.0 / (*e.std_error * *e.std_error + between) : 1.0;
      sum += w * e.value;
      weights += w;
      squares += w * w;
    }
    return sum / weights;
  };
  double weights = 0.0, squares = 0.0;
  double value = weighted_mean(0.0, weights, squares);
  if (stated) {
    double q = 0.0;
    for (const auto& e : estimates) q += (e.value - value) * (e.value - value) / (*e.std_error * *e.std_error);
    const double between = std::max(0.0, (q - (n - 1.0)) / (weights - squares / weights));
    value = weighted_mean(between, weights, squares);
  }
  Estimate out;
  out.value = value;
  bool counted = true;
  std::size_t samples = 0;
  double scatter = 0.0;
  for (const auto& e : estimates) {
    scatter += (e.value - value) * (e.value - value);
    counted = counted && e.samples.has_value();
    samples += e.samples.value_or(0);
    for (const auto& s : e.shared) {
      auto it = std::find_if(out.shared.begin(), out.shared.end(), [&](const auto& have) { return have.source == s.source; });
      if (it == out.shared.end()) it = out.shared.insert(out.shared.end(), SharedError{s.source, 0.0});
      it->relative += s.relative / n;
    }
  }
  if (counted) out.samples = samples;
  // What repeats scatter by is an error too: the larger of the stated and the seen one.
  const double seen = std::sqrt(scatter / (n - 1.0) / n);
  out.std_error = stated ? std::max(std::sqrt(1.0 / weights), seen) : seen;
  return out;
}

}  // namespace

Metrics pooled(std::span<const Trial> history, const Config& config) {
  std::map<std::string, std::vector<Estimate>, std::less<>> all;
  for (const auto& trial : history) {
    if (trial.state != TrialState::kCompleted || !(trial.asked == config)) continue;
    for (const auto& [name, estimate] : trial.metrics()) all[name].push_back(estimate);
  }
  Metrics out;
  for (const auto& [name, estimates] : all) out.emplace(name, pool(estimates));
  return out;
}

}  // namespace polythrottle
