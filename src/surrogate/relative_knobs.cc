#include "surrogate/relative_knobs.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace polythrottle {
namespace {

using Knob = RelativeKnobs::Knob;

/// Labels are this far apart: nearer than the ends of an ordered knob, because most categories share most of their behaviour.
constexpr float kLabelDistance = 0.6F;

bool is_category(const Knob& knob) { return knob.role == Role::kCategory; }

double number(const Value& value) { return std::get<double>(value); }

bool all_positive(const std::vector<Value>& levels) {
  return std::all_of(levels.begin(), levels.end(), [](const Value& v) { return std::holds_alternative<double>(v) && number(v) > 0.0; });
}

/// To [0, 1]; a single level is at 0.
std::vector<double> spread_out(std::vector<double> x) {
  const auto [low, high] = std::minmax_element(x.begin(), x.end());
  const double from = *low, range = *high - *low;
  for (double& v : x) v = range > 0.0 ? (v - from) / range : 0.0;
  return x;
}

std::vector<double> coordinates_of(const Parameter& p, bool numeric) {
  std::vector<double> index, value;
  for (std::size_t i = 0; i < p.levels.size(); ++i) {
    index.push_back(static_cast<double>(i));
    value.push_back(!numeric ? index.back() : p.role == Role::kBatch ? std::log(number(p.levels[i])) : number(p.levels[i]));
  }
  index = spread_out(std::move(index)), value = spread_out(std::move(value));
  for (std::size_t i = 0; i < index.size(); ++i) index[i] = 0.5 * (index[i] + value[i]);
  return index;
}

/// What the knob's values are divided by: the end of its range at which it does not limit anything.
double anchor_of(const Parameter& p, std::span<const Parameter> all) {
  if (p.role == Role::kBatch || p.role == Role::kParallelism) return number(p.levels.front());
  if (p.role == Role::kClockFloor) {
    for (const Parameter& other : all) {
      if (other.role == Role::kComputeClock && other.unit == p.unit && all_positive(other.levels)) return number(other.levels.back());
    }
  }
  return number(p.levels.back());
}

std::vector<Knob> knobs_of(std::span<const Parameter> parameters) {
  std::vector<Knob> out;
  for (const Parameter& p : parameters) {
    Knob knob{.name = p.name, .role = p.role, .levels = p.levels};
    knob.numeric = p.ordered() && all_positive(p.levels);
    if (p.ordered()) knob.coordinates = coordinates_of(p, knob.numeric);
    if (knob.numeric) knob.anchor = anchor_of(p, parameters);
    out.push_back(std::move(knob));
  }
  return out;
}

float log_of_level(const Knob& knob, std::size_t level) {
  if (is_category(knob)) return static_cast<float>(level);
  if (!knob.numeric) return static_cast<float>(knob.coordinates[level]);
  return static_cast<float>(std::log(number(knob.levels[level]) / knob.anchor));
}

std::optional<std::size_t> level_of(const Knob& knob, const std::optional<Value>& value) {
  const auto it = value ? std::find(knob.levels.begin(), knob.levels.end(), *value) : knob.levels.end();
  if (it == knob.levels.end()) return std::nullopt;
  return static_cast<std::size_t>(it - knob.levels.begin());
}

std::vector<float> reference_of(const std::vector<Knob>& knobs, const Config& reference) {
  std::vector<float> out;
  for (const Knob& knob : knobs) {
    const auto value = reference.get(knob.name);
    const auto level = level_of(knob, value);
    const bool off_table = !level && knob.numeric && value && std::holds_alternative<double>(*value) && number(*value) > 0.0;
    out.push_back(off_table ? static_cast<float>(std::log(number(*value) / knob.anchor))
                            : log_of_level(knob, level.value_or(knob.levels.size() - 1)));
  }
  return out;
}

int columns_of(const Knob& knob) {
  if (knob.levels.size() < 2) return 0;
  return is_category(knob) ? static_cast<int>(knob.levels.size()) : 1;
}

std::optional<std::size_t> partner_of(const Knob& knob, const std::vector<Knob>& others) {
  for (std::size_t k = 0; k < others.size(); ++k) {
    if (others[k].name == knob.name && others[k].role == knob.role) return k;
  }
  std::optional<std::size_t> found;
  for (std::size_t k = 0; k < others.size(); ++k) {
    if (others[k].role != knob.role || knob.role == Role::kOther) continue;
    if (found) return std::nullopt;  // two of them: which is meant?
    found = k;
  }
  return found;
}

}  // namespace

RelativeKnobs::RelativeKnobs(const Space& space, const Config& reference) : knobs_(knobs_of(space.parameters())) {
  reference_logs_ = reference_of(knobs_, reference);
  int columns = 0;
  for (const Knob& knob : knobs_) columns += columns_of(knob);
  const auto count = static_cast<Eigen::Index>(space.size());
  coordinates_.setZero(count, columns);
  logs_.reserve(space.size() * knobs_.size());
  for (CandidateId id = 0; id < space.size(); ++id) {
    int column = 0;
    const auto levels = space.levels(id);
    for (std::size_t k = 0; k < knobs_.size(); ++k) {
      logs_.push_back(log_of_level(knobs_[k], levels[k]));
      const int wide = columns_of(knobs_[k]);
      if (wide > 1) coordinates_(id, column + levels[k]) = kLabelDistance;
      if (wide == 1) coordinates_(id, column) = static_cast<float>(knobs_[k].coordinates[levels[k]]);
      column += wide;
    }
  }
}

bool RelativeKnobs::add(std::span<const Parameter> parameters, const Config& reference, const Config& config) {
  const std::vector<Knob> theirs = knobs_of(parameters);
  const std::vector<float> their_reference = reference_of(theirs, reference), their_logs = reference_of(theirs, config);
  std::vector<float> logs = reference_logs_;
  for (std::size_t j = 0; j < theirs.size(); ++j) {
    const auto mine = partner_of(theirs[j], knobs_);
    if (!mine || partner_of(knobs_[*mine], theirs) != j || theirs[j].numeric != knobs_[*mine].numeric) {
      if (their_logs[j] != their_reference[j]) return false;
      continue;
    }
    const Knob& knob = knobs_[*mine];
    if (is_category(knob)) {
      const auto level = level_of(knob, config.get(theirs[j].name));
      if (!level) return false;
      logs[*mine] = static_cast<float>(*level);
    } else {
      logs[*mine] = their_logs[j];
    }
  }
  std::vector<float> coordinates;
  for (std::size_t k = 0; k < knobs_.size(); ++k) {
    const int wide = columns_of(knobs_[k]);
    for (int c = 0; wide > 1 && c < wide; ++c) coordinates.push_back(logs[k] == static_cast<float>(c) ? kLabelDistance : 0.0F);
    if (wide == 1) coordinates.push_back(coordinate_at(knobs_[k], logs[k]));
  }
  append(logs, coordinates);
  return true;
}

void RelativeKnobs::append(std::span<const float> logs, std::span<const float> coordinates) {
  logs_.insert(logs_.end(), logs.begin(), logs.end());
  coordinates_.conservativeResize(coordinates_.rows() + 1, Eigen::NoChange);
  for (std::size_t c = 0; c < coordinates.size(); ++c) coordinates_(coordinates_.rows() - 1, static_cast<Eigen::Index>(c)) = coordinates[c];
}

/// Between levels by interpolation, beyond the ends the end.
float RelativeKnobs::coordinate_at(const Knob& knob, float log) const {
  std::size_t above = 0;
  while (above < knob.levels.size() && log_of_level(knob, above) < log) ++above;
  if (above == 0) return static_cast<float>(knob.coordinates.front());
  if (above == knob.levels.size()) return static_cast<float>(knob.coordinates.back());
  const float low = log_of_level(knob, above - 1), high = log_of_level(knob, above);
  const auto from = static_cast<float>(knob.coordinates[above - 1]), to = static_cast<float>(knob.coordinates[above]);
  return from + (to - from) * (log - low) / (high - low);
}

}  // namespace polythrottle
