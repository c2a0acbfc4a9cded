#pragma once
// For tests: machines drawn from a seed, on any space, with a truth to judge searches by.

#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "optimizer/synthetic_search.h"
#include "surrogate/normal_stream.h"

namespace polythrottle {

struct RandomMachineOptions {
  double roughness = 0.01;  ///< deviation (ln) of single settings from anything smooth
  double noise = 0.005;     ///< deviation (ln) of one measurement of latency; twice that of energy
  bool states_error = true;
};

/// Times add up over the knobs, each with a share of its own; power grows with a power of each clock. No voltage, no overlap, no governor:
/// the prior's machines are made otherwise.
class RandomMachine {
 public:
  RandomMachine(const Space& space, std::uint64_t seed, RandomMachineOptions options = {}) : space_(space), seed_(seed), options_(options) {
    NormalStream random(seed);
    const double fixed_time = random.uniform(0.02, 0.2), fixed_power = random.uniform(0.1, 0.6), base = random.log_uniform(1e-3, 1.0);
    watts_ = random.log_uniform(1.0, 300.0);
    std::vector<Effect> effects;
    for (const Parameter& p : space.parameters()) effects.push_back(draw(p, random));
    for (CandidateId id = 0; id < space.size(); ++id) {
      double time = fixed_time, power = fixed_power, factor = 1.0, batch = 1.0, cap = INFINITY;
      for (std::size_t k = 0; k < effects.size(); ++k) {
        const Effect& effect = effects[k];
        const std::size_t level = space.levels(id)[k];
        time += effect.time[level], power += effect.power[level], factor *= effect.factor[level];
        if (effect.batch[level] > 0.0) batch *= effect.batch[level];
        cap = std::min(cap, effect.cap[level]);
      }
      time *= base * factor * (1.0 + 0.7 * (batch - 1.0));
      if (power > cap) time *= std::pow(power / cap, 0.7), power = cap;
      time *= std::exp(options.roughness * random.normal());
      power *= std::exp(options.roughness * random.normal());
      truth_.push_back({time, power, batch});
    }
  }

  /// What no error would show.
  Metrics truth(CandidateId id) const { return metrics(truth_[id].time, truth_[id].power, truth_[id].batch, 0.0); }

  /// A measurement; the same for the same look at the same setting, whatever was measured in between.
  Outcome operator()(const Config& config) {
    const CandidateId id = space_.find(config).value();
    NormalStream random((seed_ * 1'000'003 + id) * 101 + looks_[id]++);
    const double slower = std::exp(options_.noise * random.normal()),
                 costlier = std::exp(std::sqrt(3.0) * options_.noise * random.normal());
    return completed(metrics(truth_[id].time * slower, truth_[id].power * costlier, truth_[id].batch, options_.noise));
  }

 private:
  struct Effect {
    std::vector<double> time, power, factor, batch, cap;  // by level
  };
  struct Truth {
    double time, power, batch;
  };

  static Effect draw(const Parameter& p, NormalStream& random) {
    const double share = random.uniform(0.1, 1.0), draws = random.uniform(0.1, 1.0), exponent = random.uniform(1.0, 3.0);
    const std::size_t n = p.levels.size();
    Effect effect{std::vector(n, 0.0), std::vector(n, 0.0), std::vector(n, 1.0), std::vector(n, 0.0), std::vector<double>(n, INFINITY)};
    for (std::size_t i = 0; i < n; ++i) {
      const double relative = ordered(p) ? number(p, i) / number(p, n - 1) : 1.0;
      switch (p.role) {
        case Role::kComputeClock:
        case Role::kMemoryClock:
        case Role::kHostClock: effect.time[i] = share / relative, effect.power[i] = draws * std::pow(relative, exponent); break;
        case Role::kClockFloor: effect.power[i] = 0.3 * draws * relative; break;
        case Role::kPowerCap: effect.cap[i] = 2.0 * share * relative; break;
        case Role::kBatch: effect.batch[i] = number(p, i); break;
        case Role::kParallelism:
          effect.factor[i] = std::pow(number(p, i), -share), effect.power[i] = draws * number(p, i) / number(p, n - 1);
          break;
        case Role::kCategory: effect.factor[i] = std::exp(0.35 * random.normal()), effect.power[i] = draws * random.unit(); break;
        case Role::kOther: effect.factor[i] = std::exp((share - 0.5) * static_cast<double>(i) / static_cast<double>(n)); break;
      }
    }
    return effect;
  }

  static bool ordered(const Parameter& p) { return p.ordered() && std::holds_alternative<double>(p.levels.front()); }
  static double number(const Parameter& p, std::size_t i) { return std::get<double>(p.levels[i]); }

  Metrics metrics(double time, double power, double batch, double noise) const {
    const double watts = watts_ * power, joules = watts * time / batch, rate = batch / time;
    Metrics out;
    const auto put = [&](std::string_view name, double value, double error) {
      out[std::string(name)] = {value, options_.states_error ? std::optional(error * value) : std::nullopt, 1000, {}};
    };
    put(kLatencyMean, time, noise);
    put(kLatencyP99, 1.2 * time, 2.0 * noise);
    put(kEnergy, joules, 2.0 * noise);
    put(kPower, watts, std::sqrt(3.0) * noise);
    put(kThroughput, rate, noise);
    put(kTemperature, 30.0 + 0.2 * watts, 0.5 * noise);
    put(kMemory, 1e8 + 2e7 * batch, 0.0);
    put(kTrialEnergy, 20.0 * watts, 0.0);
    return out;
  }

  const Space& space_;
  std::uint64_t seed_;
  RandomMachineOptions options_;
  double watts_ = 1.0;
  std::vector<Truth> truth_;
  std::map<CandidateId, std::uint64_t> looks_;
};

}  // namespace polythrottle
