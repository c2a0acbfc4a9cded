#include "bench/noisy_trial.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "bench/portable_random.h"

namespace polythrottle::bench {
namespace {

constexpr double kPublishedLatencyNoise = 0.01;
constexpr double kOutlierShare = 0.05, kOutlierLeast = 1.05, kOutlierMost = 1.40;
/// Enough for every rule that asks for a sample.
constexpr std::size_t kSamples = 1000;
constexpr double kClearErrors = 3.0;

Truth disturbed(const Truth& truth, const Noise& noise, const NoiseSeed& seed) {
  std::mt19937_64 random(mixed(mixed(seed.seed, seed.problem), seed.trial));
  const double energy = normal(random), latency = normal(random);
  // Drawn always, so that switching outliers off leaves the rest of the noise as it is.
  const bool outlier = uniform(random) < kOutlierShare;
  const double factor = kOutlierLeast + (kOutlierMost - kOutlierLeast) * uniform(random);
  const double share = uniform(random);
  Truth seen{.latency_seconds = truth.latency_seconds * std::exp(noise.latency * latency),
             .joules = truth.joules * std::exp(noise.energy * energy)};
  if (noise.outliers && outlier) {
    seen.latency_seconds *= factor;
    seen.joules *= std::pow(factor, share);
  }
  return seen;
}

Estimate estimate(double value, double relative_error) { return {value, relative_error * value, kSamples, {}}; }

std::optional<double> parse_share(std::string_view text) {
  const bool percent = text.ends_with('%');
  if (percent) text.remove_suffix(1);
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !(value >= 0.0) || !std::isfinite(value)) return std::nullopt;
  if (percent) value /= 100.0;
  return value < 1.0 ? std::optional(value) : std::nullopt;
}

}  // namespace

Noise NoiseRule::of(const SearchProblem& problem) const {
  return kind == Kind::kFixed ? fixed : Noise{problem.energy_noise, kPublishedLatencyNoise, true};
}

Result<NoiseRule> parse_noise(const std::string& text) {
  if (text == "published") return NoiseRule{NoiseRule::Kind::kPublished, {}, text};
  if (text == "none") return NoiseRule{NoiseRule::Kind::kFixed, {}, text};
  const std::size_t comma = text.find(',');
  const auto energy = parse_share(std::string_view(text).substr(0, comma));
  const auto latency = comma == std::string::npos ? std::nullopt : parse_share(std::string_view(text).substr(comma + 1));
  if (!energy || !latency) {
    return fail(Errc::kInvalid, fmt::format("--noise '{}' is not understood", text),
                "published, none, or two relative standard deviations ENERGY,LATENCY below 1, as in 0.02,0.01 or 2%,1%");
  }
  return NoiseRule{NoiseRule::Kind::kFixed, {*energy, *latency, false}, text};
}

Trial noisy_trial(const SearchProblem& problem, const Goal& goal, const Noise& noise, const NoiseSeed& seed, const Advice& advice,
                  bool stop_early) {
  const Truth seen = disturbed(problem.truth[*problem.space.find(advice.config)], noise, seed);
  const Estimate latency = estimate(seen.latency_seconds, noise.latency);
  const bool clearly_over = latency.value - kClearErrors * *latency.std_error > kSlack * goal.limit_seconds;
  Trial trial;
  trial.id = static_cast<TrialId>(seed.trial);
  trial.advice = advice;
  trial.asked = trial.outcome.got = advice.config;
  trial.seed = seed.seed;
  trial.outcome.metrics[std::string(kLatencyMean)] = latency;
  // A study measures its reference and what it verifies to the end, whatever comes out.
  const bool aborted = stop_early && clearly_over && advice.kind == Advice::Kind::kTry;
  if (aborted) {
    trial.outcome.note = "stopped early: it clearly breaks the SLO";
  } else {
    trial.outcome.metrics[problem.energy_metric] = estimate(seen.joules, noise.energy);
  }
  trial.state = trial.outcome.state = aborted ? TrialState::kAborted : TrialState::kCompleted;
  return trial;
}

}  // namespace polythrottle::bench
