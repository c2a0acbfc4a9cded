#include "bench/figures.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/stats.h"

namespace polythrottle::bench {
namespace {

constexpr double kFarOver = 1.5;

/// Number of the first step within `share` of the least energy; 0 if there is none.
std::size_t first_within(const SearchRecord& record, double share) {
  const auto it = std::find_if(record.steps.begin(), record.steps.end(), [&](const Step& step) { return step.regret <= share; });
  return it == record.steps.end() ? 0 : static_cast<std::size_t>(it - record.steps.begin()) + 1;
}

struct Violations {
  double count = 0.0, excess = 0.0;
  bool far = false;
};

Violations violations_among(std::span<const Step> steps) {
  Violations out;
  for (const Step& step : steps) {
    if (!step.violates()) continue;
    out.count += 1.0;
    out.excess += step.over_slo;
    out.far = out.far || step.over_slo > kFarOver;
  }
  return out;
}

double regret_after(const SearchRecord& record, std::size_t trials) {
  return record.steps[std::min(trials, record.steps.size()) - 1].regret;
}

Violations before_stop(const SearchRecord& to_cap, const std::optional<SearchRecord>& own, std::size_t success) {
  return own ? violations_among(own->steps) : violations_among(std::span(to_cap.steps).first(success));
}

/// A writer of one search's figures.
struct Sheet {
  Figures figures{};
  double& operator[](Figure figure) { return figures[static_cast<std::size_t>(figure)]; }
};

void enter_stop(Sheet& sheet, const std::optional<SearchRecord>& own) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  sheet[Figure::kStopTrials] = sheet[Figure::kStopMeasurements] = sheet[Figure::kStopMissed] = sheet[Figure::kStopRegret] = kNone;
  if (!own) return;
  const auto second_looks = std::count_if(own->steps.begin(), own->steps.end(), [](const Step& step) { return step.verify; });
  sheet[Figure::kStopMeasurements] = static_cast<double>(own->steps.size());
  sheet[Figure::kStopTrials] = sheet[Figure::kStopMeasurements] - static_cast<double>(second_looks);
  sheet[Figure::kStopRegret] = own->steps.back().regret;
  sheet[Figure::kStopMissed] = own->steps.back().regret > 0.05 ? 1.0 : 0.0;
}

}  // namespace

Figures figures_of(const SearchRecord& to_cap, const std::optional<SearchRecord>& own, std::size_t cap) {
  const std::size_t to_5 = first_within(to_cap, 0.05), to_1 = first_within(to_cap, 0.01);
  const std::size_t success = to_5 == 0 ? to_cap.steps.size() : to_5;
  const Violations to_success = violations_among(std::span(to_cap.steps).first(success));
  const Violations to_stop = before_stop(to_cap, own, success);
  Sheet sheet;
  sheet[Figure::kTrialsTo5] = static_cast<double>(to_5 == 0 ? cap + 1 : to_5);
  sheet[Figure::kNeverTo5] = to_5 == 0 ? 1.0 : 0.0;
  sheet[Figure::kTrialsTo1] = static_cast<double>(to_1 == 0 ? cap + 1 : to_1);
  sheet[Figure::kNeverTo1] = to_1 == 0 ? 1.0 : 0.0;
  sheet[Figure::kViolationsTo5] = to_success.count;
  sheet[Figure::kExcessTo5] = to_success.excess;
  sheet[Figure::kViolationsToStop] = to_stop.count;
  sheet[Figure::kExcessToStop] = to_stop.excess;
  sheet[Figure::kFarOver] = to_stop.far ? 1.0 : 0.0;
  sheet[Figure::kRegret5] = regret_after(to_cap, 5);
  sheet[Figure::kRegret8] = regret_after(to_cap, 8);
  sheet[Figure::kRegret10] = regret_after(to_cap, 10);
  sheet[Figure::kRegret15] = regret_after(to_cap, 15);
  sheet[Figure::kRegret25] = regret_after(to_cap, 25);
  sheet[Figure::kSuggestionMilliseconds] = 1e3 * mean(to_cap.suggestion_seconds);
  enter_stop(sheet, own);
  return sheet.figures;
}

double largest_suggestion_milliseconds(const SearchRecord& record) {
  return 1e3 * *std::max_element(record.suggestion_seconds.begin(), record.suggestion_seconds.end());
}

Group::Group(std::vector<Figures> searches, std::size_t ensembles, double largest_suggestion_milliseconds)
    : searches_(std::move(searches)), ensembles_(ensembles), largest_suggestion_(largest_suggestion_milliseconds) {
  for (const Figures& figures : searches_) trials_to_5_.push_back(at(figures, Figure::kTrialsTo5));
  std::sort(trials_to_5_.begin(), trials_to_5_.end());
  p90_ = sorted_quantile(trials_to_5_, 0.9);
}

Group Group::mean_of(std::span<const Group> groups) {
  Group out = groups.front();
  const auto n = static_cast<double>(groups.size());
  for (std::size_t search = 0; search < out.searches_.size(); ++search) {
    for (std::size_t figure = 0; figure < kFigures; ++figure) {
      double sum = 0.0;
      for (const Group& group : groups) sum += group.searches_[search][figure];
      out.searches_[search][figure] = sum / n;
    }
  }
  out.p90_ = 0.0;
  out.trials_to_5_.clear();
  for (const Group& group : groups) {
    out.p90_ += group.p90_ / n;
    out.largest_suggestion_ = std::max(out.largest_suggestion_, group.largest_suggestion_);
    out.trials_to_5_.insert(out.trials_to_5_.end(), group.trials_to_5_.begin(), group.trials_to_5_.end());
  }
  std::sort(out.trials_to_5_.begin(), out.trials_to_5_.end());
  return out;
}

Group Group::together(std::span<const Group> groups) {
  Group out = mean_of(groups);
  out.p90_ = sorted_quantile(out.trials_to_5_, 0.9);
  return out;
}

MeanAndError Group::operator[](Figure figure) const {
  const std::size_t seeds = searches_.size() / ensembles_;
  std::vector<double> by_seed(seeds, 0.0), by_ensemble(ensembles_, 0.0);
  for (std::size_t i = 0; i < searches_.size(); ++i) {
    by_seed[i % seeds] += at(searches_[i], figure) / static_cast<double>(ensembles_);
    by_ensemble[i / seeds] += at(searches_[i], figure) / static_cast<double>(seeds);
  }
  // variance() of a single value is 0: one ensemble adds nothing.
  const double squared = variance(by_seed) / static_cast<double>(seeds) + variance(by_ensemble) / static_cast<double>(ensembles_);
  return {mean(by_seed), std::sqrt(squared)};
}

std::optional<double> Group::violation_size(Figure excess, Figure violations) const {
  const double count = (*this)[violations].mean;
  return count > 0.0 ? std::optional((*this)[excess].mean / count) : std::nullopt;
}

}  // namespace polythrottle::bench
