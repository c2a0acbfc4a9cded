#include "surrogate/physics_prior.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>

#include "surrogate/in_blocks.h"
#include "surrogate/normal_stream.h"

namespace polythrottle {
namespace {

using Eigen::Index;

/// One setting as the simulations see it: everything relative, 1 where there is no such knob.
struct Point {
  float gpu = 1.0F;    // highest clock of the compute unit
  float floor = 0.0F;  // lowest clock a governor may choose
  float mem = 1.0F;
  float host = 1.0F;
  float batch = 1.0F;
  float cap = 1.0F;
  bool has_cap = false;
};

/// One machine. Ranges: see draw().
struct Member {
  float w_gpu, w_mem, w_host, w_fixed;  // shares of the time at the highest clocks, batch 1
  float overlap, host_overlap;          // exponents of the p-norms
  float k_gpu, k_mem, k_host;           // part of each time that grows with the batch
  float bandwidth_exponent, mem_saturation;
  float governor;  // how far the clock falls when the unit idles; 0: none
  float p_static, p_gpu, p_mem, p_host;
  float v_floor, v_knee, power_exponent;
  float idle_gpu, idle_mem, idle_host;
  float cap, board_cap;                                     // power at cap knob = 1; hidden limit without such a knob (or infinite)
  std::vector<std::vector<float>> label_time, label_power;  // by knob and label; for parallelism one exponent each
};

struct LogPair {
  float latency, energy;
};

Member draw(NormalStream& random, const RelativeKnobs& knobs) {
  Member m{};
  const auto f = [](double x) { return static_cast<float>(x); };
  double w[4] = {random.log_normal(1.0, 0.9), random.log_normal(0.45, 1.2), random.log_normal(0.22, 1.3), random.log_normal(0.08, 1.2)};
  const double time = w[0] + w[1] + w[2] + w[3];
  m.w_gpu = f(w[0] / time), m.w_mem = f(w[1] / time), m.w_host = f(w[2] / time), m.w_fixed = f(w[3] / time);
  m.overlap = f(random.log_uniform(1.0, 6.0));
  m.host_overlap = f(random.log_uniform(1.0, 5.0));
  // Small growing parts are needed for the batch ranges of data centres, where 8 and 8192 are neighbours in time.
  m.k_gpu = f(random.unit() < 0.6 ? random.uniform(0.25, 1.0) : random.log_uniform(0.01, 0.4));
  m.k_mem = f(random.unit() < 0.6 ? random.uniform(0.05, 1.0) : random.log_uniform(0.005, 0.2));
  m.k_host = f(random.uniform(0.0, 0.6));
  m.bandwidth_exponent = f(random.uniform(0.0, 0.3));
  m.mem_saturation = f(random.unit() < 0.3 ? random.uniform(0.5, 1.0) : 1.0);
  m.governor = f(random.unit() < 0.4 ? 0.0 : random.uniform(0.0, 0.9));
  double p[4] = {random.log_normal(0.28, 0.6), random.log_normal(0.5, 0.5), random.log_normal(0.14, 0.7), random.log_normal(0.08, 0.8)};
  const double power = p[0] + p[1] + p[2] + p[3];
  m.p_static = f(p[0] / power), m.p_gpu = f(p[1] / power), m.p_mem = f(p[2] / power), m.p_host = f(p[3] / power);
  m.v_floor = f(random.uniform(0.5, 0.95));
  m.v_knee = f(random.uniform(0.15, 0.75));
  m.power_exponent = f(random.uniform(1.5, 3.0));
  m.idle_gpu = f(random.uniform(0.05, 0.6));
  m.idle_mem = f(random.uniform(0.1, 0.9));
  m.idle_host = f(random.uniform(0.1, 0.9));
  m.cap = f(random.log_uniform(0.6, 2.4));
  m.board_cap = f(random.unit() < 0.4 ? random.uniform(0.35, 1.05) : INFINITY);
  for (const auto& knob : knobs.knobs()) {
    auto& times = m.label_time.emplace_back();
    auto& powers = m.label_power.emplace_back();
    if (knob.role == Role::kCategory) {
      for (std::size_t i = 0; i < knob.levels.size(); ++i) {
        times.push_back(f(0.35 * random.normal()));
        powers.push_back(f(0.25 * random.normal()));
      }
    } else if (knob.role == Role::kParallelism) {
      const double faster = random.uniform(0.3, 1.05);
      times.push_back(f(-faster));
      powers.push_back(f(random.uniform(0.7, 1.05)));
    }
  }
  return m;
}

/// What all members see alike.
Point point_of(const RelativeKnobs& knobs, std::span<const float> logs) {
  Point p;
  for (std::size_t k = 0; k < logs.size(); ++k) {
    if (!knobs.knobs()[k].numeric) continue;
    const float value = std::exp(logs[k]);
    switch (knobs.knobs()[k].role) {
      case Role::kComputeClock: p.gpu *= value; break;
      case Role::kClockFloor: p.floor = value; break;
      case Role::kMemoryClock: p.mem *= value; break;
      case Role::kHostClock: p.host *= value; break;
      case Role::kBatch: p.batch *= value; break;
      case Role::kPowerCap: p.cap = std::min(p.cap, value), p.has_cap = true; break;
      default: break;
    }
  }
  return p;
}

/// What categories and parallelism do to ln time and ln power on this machine: no physics, each label is its own surprise.
LogPair surprises(const RelativeKnobs& knobs, std::span<const float> logs, const Member& m) {
  LogPair sum{0.0F, 0.0F};
  for (std::size_t k = 0; k < logs.size(); ++k) {
    const auto& knob = knobs.knobs()[k];
    if (knob.role == Role::kCategory) {
      sum.latency += m.label_time[k][static_cast<std::size_t>(logs[k])];
      sum.energy += m.label_power[k][static_cast<std::size_t>(logs[k])];
    } else if (knob.role == Role::kParallelism && knob.numeric) {
      sum.latency += m.label_time[k].front() * logs[k];
      sum.energy += m.label_power[k].front() * logs[k];
    }
  }
  return sum;
}

float p_norm(float a, float b, float p) {
  const float high = std::max(a, b), low = std::min(a, b);
  return low <= 0.0F ? high : high * std::pow(1.0F + std::pow(low / high, p), 1.0F / p);
}

/// One machine at one setting: what does not change with the compute clock is computed once.
class Operation {
 public:
  Operation(const Member& m, const Point& point) : m_(m), point_(point) {
    const float effective = std::min(point.mem, m.mem_saturation) / m.mem_saturation;
    compute_ = m.w_gpu * (1.0F - m.k_gpu + m.k_gpu * point.batch);
    memory_ = m.w_mem * (1.0F - m.k_mem + m.k_mem * point.batch) / std::pow(effective, 1.0F - m.bandwidth_exponent);
    host_ = m.w_host * (1.0F - m.k_host + m.k_host * point.batch) / point.host;
    host_power_ = m.p_host * point.host * (0.5F + 0.5F * point.host);
  }

  struct State {
    float time, power, busy;
  };

  State run() const {
    float f = point_.gpu;
    if (m_.governor > 0.0F) {
      const float lowered = point_.gpu * (1.0F - m_.governor * (1.0F - at(f).busy));
      f = std::clamp(lowered, std::min(point_.floor, point_.gpu), point_.gpu);
    }
    State state = at(f);
    const float limit = point_.has_cap ? point_.cap * m_.cap : m_.board_cap;
    if (state.power > limit) {
      float low = std::min(0.08F, f), high = f;
      for (int i = 0; i < 9; ++i) {
        const float middle = 0.5F * (low + high);
        (at(middle).power > limit ? high : low) = middle;
      }
      state = at(low);
    }
    return state;
  }

 private:
  State at(float f) const {
    const float compute = compute_ / f;
    const float memory = memory_ * std::pow(f, -m_.bandwidth_exponent);
    const float unit = p_norm(compute, memory, m_.overlap);
    const float time = p_norm(unit, host_, m_.host_overlap) + m_.w_fixed;
    const float busy = std::min(1.0F, unit / time);
    const float mem_busy = std::min(1.0F, memory / time), host_busy = std::min(1.0F, host_ / time);
    const float v = f < m_.v_knee ? m_.v_floor : m_.v_floor + (1.0F - m_.v_floor) * (f - m_.v_knee) / (1.0F - m_.v_knee);
    const float power = m_.p_static * (0.6F + 0.4F * v) +
                        m_.p_gpu * f * std::pow(v, m_.power_exponent) * (m_.idle_gpu + (1.0F - m_.idle_gpu) * busy) +
                        m_.p_mem * point_.mem * (m_.idle_mem + (1.0F - m_.idle_mem) * mem_busy) +
                        host_power_ * (m_.idle_host + (1.0F - m_.idle_host) * host_busy);
    return {time, power, busy};
  }

  const Member& m_;
  const Point& point_;
  float compute_, memory_, host_, host_power_;
};

LogPair simulate(const Member& member, const Point& point, const LogPair& extra) {
  const auto state = Operation(member, point).run();
  const float log_time = std::log(state.time) + extra.latency;
  return {log_time, std::log(state.power) + log_time - std::log(point.batch) + extra.energy};
}

/// Straight lines and products in the logarithms: for knobs whose physics is not the members' (caps, unknown ones).
class LogLinear {
 public:
  LogLinear(const RelativeKnobs& knobs, double weight) : knobs_(knobs), weight_(static_cast<float>(weight)) {
    for (std::size_t k = 0; weight > 0.0 && k < knobs.knobs().size(); ++k) {
      const auto& knob = knobs.knobs()[k];
      if (knob.role != Role::kCategory && knob.levels.size() > 1) used_.push_back(k);
    }
  }

  Index count() const { return static_cast<Index>(used_.size() * (used_.size() + 3) / 2); }

  /// Values of all features at a row: (count()), those that act on time and those that act on power.
  void at(std::span<const float> logs, Eigen::Ref<Eigen::RowVectorXf> time, Eigen::Ref<Eigen::RowVectorXf> power) const {
    const auto reference = knobs_.reference_logs();
    Index next = 0;
    for (std::size_t i = 0; i < used_.size(); ++i) {
      const float zi = logs[used_[i]] - reference[used_[i]];
      const auto [of_time, of_power] = slopes(knobs_.knobs()[used_[i]].role);
      time(next) = weight_ * of_time * zi;
      power(next++) = weight_ * of_power * zi;
      for (std::size_t j = i; j < used_.size(); ++j) {
        const float product = zi * (logs[used_[j]] - reference[used_[j]]);
        time(next) = weight_ * 0.12F * product;
        power(next++) = weight_ * 0.10F * product;
      }
    }
  }

 private:
  static std::pair<float, float> slopes(Role role) {
    switch (role) {
      case Role::kComputeClock: return {0.30F, 0.40F};
      case Role::kMemoryClock: return {0.25F, 0.15F};
      case Role::kHostClock: return {0.15F, 0.10F};
      case Role::kClockFloor: return {0.06F, 0.06F};
      case Role::kBatch: return {0.25F, 0.12F};
      default: return {0.30F, 0.30F};
    }
  }

  const RelativeKnobs& knobs_;
  float weight_;
  std::vector<std::size_t> used_;
};

/// Logarithms of everything every member (and feature) says at some rows, relative to the reference: columns are directions.
class Ensemble {
 public:
  Ensemble(const RelativeKnobs& knobs, const PhysicsOptions& options) : knobs_(knobs), log_linear_(knobs, options.log_linear) {
    NormalStream random(options.seed * 0x9e3779b97f4a7c15ULL + 0x5851f42d4c957f2dULL);
    for (int i = 0; i < options.members; ++i) members_.push_back(draw(random, knobs));
    const auto logs = knobs.reference_logs();
    const Point point = point_of(knobs, logs);
    for (const Member& member : members_) reference_.push_back(simulate(member, point, surprises(knobs, logs, member)));
  }

  Index members() const { return static_cast<Index>(members_.size()); }
  Index columns() const { return members() + 2 * log_linear_.count(); }

  /// Row of latency and of energy: (columns()). Members are centred and scaled so that the columns are directions of one deviation; their
  /// mean is returned.
  LogPair at(Index row, Eigen::Ref<Eigen::RowVectorXf> latency, Eigen::Ref<Eigen::RowVectorXf> energy) const {
    const auto logs = knobs_.logs(row);
    const Point point = point_of(knobs_, logs);
    double mean_latency = 0.0, mean_energy = 0.0;
    for (std::size_t i = 0; i < members_.size(); ++i) {
      const LogPair value = simulate(members_[i], point, surprises(knobs_, logs, members_[i]));
      const auto column = static_cast<Index>(i);
      latency(column) = value.latency - reference_[i].latency;
      energy(column) = value.energy - reference_[i].energy;
      mean_latency += latency(column), mean_energy += energy(column);
    }
    const Index n = members(), features = log_linear_.count();
    const LogPair mean{static_cast<float>(mean_latency / static_cast<double>(n)), static_cast<float>(mean_energy / static_cast<double>(n))};
    const float scale = 1.0F / std::sqrt(static_cast<float>(n - 1));
    latency.head(n) = (latency.head(n).array() - mean.latency) * scale;
    energy.head(n) = (energy.head(n).array() - mean.energy) * scale;
    // What makes a batch slower costs energy as well; what draws power costs energy alone.
    log_linear_.at(logs, latency.segment(n, features), energy.segment(n + features, features));
    energy.segment(n, features) = latency.segment(n, features);
    latency.segment(n + features, features).setZero();
    return mean;
  }

 private:
  const RelativeKnobs& knobs_;
  LogLinear log_linear_;
  std::vector<Member> members_;
  std::vector<LogPair> reference_;
};

constexpr Index kBlock = 128;

/// One row of each of `sample` equal stretches, at a place in it that follows no rhythm of the list (golden ratio).
Index sampled_row(Index i, Index sample, Index rows) {
  if (sample == rows) return i;
  const double place = std::fmod(static_cast<double>(i) * 0.6180339887498949, 1.0);
  return std::min(rows - 1, static_cast<Index>((static_cast<double>(i) + place) * static_cast<double>(rows) / static_cast<double>(sample)));
}

/// Columns: weights of the ensemble's columns in each of the main directions, found on a sample of the rows.
Eigen::MatrixXf main_directions(const Ensemble& ensemble, Index rows, const PhysicsOptions& options) {
  const Index sample = std::min(rows, options.sample_rows);
  RowMatrix values(2 * sample, ensemble.columns());
  in_blocks(sample, kBlock, options.threads, [&](Index begin, Index end) {
    Eigen::RowVectorXf latency(values.cols()), energy(values.cols());
    for (Index i = begin; i < end; ++i) {
      ensemble.at(sampled_row(i, sample, rows), latency, energy);
      values.row(2 * i) = latency, values.row(2 * i + 1) = energy;
    }
  });
  const Eigen::MatrixXf gram = values.transpose() * values;
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(gram.cast<double>());
  const Index keep = std::min<Index>(options.components, gram.cols());
  return solver.eigenvectors().rightCols(keep).cast<float>();
}

}  // namespace

PhysicsPrior physics_prior(const RelativeKnobs& knobs, const PhysicsOptions& options) {
  const Ensemble ensemble(knobs, options);
  const Eigen::MatrixXf directions = main_directions(ensemble, knobs.rows(), options);
  PhysicsPrior prior;
  for (FieldPrior* field : {&prior.latency, &prior.energy}) {
    field->mean.resize(knobs.rows());
    field->basis.resize(knobs.rows(), directions.cols());
  }
  in_blocks(knobs.rows(), kBlock, options.threads, [&](Index begin, Index end) {
    RowMatrix latency(end - begin, ensemble.columns()), energy(end - begin, ensemble.columns());
    Eigen::RowVectorXf latency_row(ensemble.columns()), energy_row(ensemble.columns());
    for (Index row = begin; row < end; ++row) {
      const LogPair mean = ensemble.at(row, latency_row, energy_row);
      latency.row(row - begin) = latency_row, energy.row(row - begin) = energy_row;
      prior.latency.mean(row) = mean.latency, prior.energy.mean(row) = mean.energy;
    }
    prior.latency.basis.middleRows(begin, end - begin).noalias() = latency * directions;
    prior.energy.basis.middleRows(begin, end - begin).noalias() = energy * directions;
  });
  return prior;
}

Eigen::VectorXf log_batch(const RelativeKnobs& knobs) {
  Eigen::VectorXf out = Eigen::VectorXf::Zero(knobs.rows());
  for (std::size_t k = 0; k < knobs.knobs().size(); ++k) {
    if (knobs.knobs()[k].role != Role::kBatch || !knobs.knobs()[k].numeric) continue;
    for (Index row = 0; row < knobs.rows(); ++row) out(row) += knobs.logs(row)[k] - knobs.reference_logs()[k];
  }
  return out;
}

}  // namespace polythrottle
