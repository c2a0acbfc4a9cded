#include "study/sizing.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "study/stretches.h"

namespace polythrottle {
namespace {

constexpr double kShareBetweenLooks = 0.05;  ///< of the time so far
constexpr double kRounding = 1e-9;           ///< s
constexpr double kNearlyAll = 0.9;           ///< candidates for the beginning of a window are that close together

/// 0.0113 as "1.13 %": enough digits to tell it from the one asked.
std::string percent(double ratio) { return fmt::format("{:.3g} %", 100.0 * ratio); }

}  // namespace

Sized size_up(const SizingRule& rule, const Work& work, const WindowReading& whole, std::optional<std::size_t> from) {
  const bool in_parts = !work.counted.empty();
  const WindowReading reading = in_parts ? within(whole, work.counted) : whole;
  const auto blocks = blocks_of(work, reading);
  Sized out;
  out.part.steady = true;
  // Without single batches nothing can be left out: nobody knows what was done in the rest.
  if (rule.settle_limit > Seconds(0) && !work.completions.empty() && !in_parts) {
    out.part = steady_part(blocks, {.shortest = rule.shortest, .limit = rule.settle_limit}, from);
  }
  const std::span<const Block> window = std::span(blocks).subspan(out.part.from);
  const WindowReading tail = tail_of(reading, out.part.from);
  out.settling = reading.elapsed - tail.elapsed;
  out.length = tail.elapsed;
  // Between parts that count time passes too.
  const Seconds allowed = in_parts ? std::max(out.length, Seconds(work.ended - work.began)) : out.length;
  out.at_limit = allowed.count() >= rule.limit.count() - kRounding;
  const auto opened = tail.samples.empty() ? work.began : tail.samples.front().at;
  for (const auto& c : work.completions) out.samples += out.part.from == 0 || c.at > opened ? 1 : 0;
  if (work.completions.empty() || in_parts) {
    const double joules = reading.energy.si();
    if (const auto power = relative_error(blocks, reading.own_error, &Block::seconds); power && joules > 0.0) out.energy_error = power;
  } else {
    out.energy_error = relative_error(window, tail.own_error, &Block::inferences);
  }
  return out;
}

bool long_enough(const SizingRule& rule, const Sized& sized) {
  if (sized.length.count() < rule.shortest.count() - kRounding) return false;
  // Settling may go on until what is left out reaches its limit.
  const bool settling =
      rule.settle_limit > Seconds(0) && !sized.part.steady && sized.settling + sized.length < rule.settle_limit + rule.shortest;
  if (settling || sized.samples < rule.samples) return false;
  const bool known = rule.energy_error <= 0.0 || (sized.energy_error && *sized.energy_error <= rule.energy_error);
  return known || sized.at_limit;
}

std::vector<std::string> remarks_of(const SizingRule& rule, const Sized& sized) {
  std::vector<std::string> out;
  // Something is left out up to the limit only where no end of the load was steady.
  const bool had_its_time = sized.settling >= kNearlyAll * rule.settle_limit;
  if (rule.settle_limit > Seconds(0) && !sized.part.steady && sized.part.trend && had_its_time) {
    const Trend& trend = *sized.part.trend;
    const double minutes = trend.length.count() / 60.0;
    out.push_back(fmt::format("{}after {:.3g} s {} still {} by {} a minute (+-{}, 1 sigma)", kNotSteady, sized.settling.count(),
                              sized.part.moved.empty() ? "power" : sized.part.moved, trend.change > 0.0 ? "rose" : "fell",
                              percent(std::abs(trend.change) / minutes), percent(trend.std_error / minutes)));
  }
  if (rule.energy_error > 0.0 && sized.energy_error.value_or(INFINITY) > rule.energy_error && sized.at_limit) {
    out.push_back(fmt::format(
        "{}{} ({} asked; the window ended at its limit of {:.3g} s)", kUndecidedEnergy,
        sized.energy_error ? "energy is known to " + percent(*sized.energy_error) + " only" : "nothing is known of the energy's error",
        percent(rule.energy_error), rule.limit.count()));
  }
  return out;
}

WindowReading tail_of(const WindowReading& reading, std::size_t from) {
  if (from == 0 || from + 1 >= reading.samples.size()) return reading;
  WindowReading out = reading;
  out.samples.erase(out.samples.begin(), out.samples.begin() + static_cast<std::ptrdiff_t>(from));
  const MeterSample &opening = out.samples.front(), &closing = out.samples.back();
  out.elapsed = closing.at - opening.at;
  out.energy = closing.energy - opening.energy;
  const auto differences = [&](std::vector<Joules> MeterSample::*column) {
    std::vector<Joules> columns;
    for (std::size_t i = 0; i < std::min((opening.*column).size(), (closing.*column).size()); ++i) {
      columns.push_back((closing.*column)[i] - (opening.*column)[i]);
    }
    return columns;
  };
  out.one_sigma = differences(&MeterSample::one_sigma);
  out.rails = differences(&MeterSample::rails);
  const double sampling = std::max(0.0, closing.sampling_variance - opening.sampling_variance);
  out.own_error = Joules(std::hypot(opening.edge.si(), closing.edge.si(), std::sqrt(sampling)));
  return out;
}

Work tail_of(const Work& work, const WindowReading& tail) {
  Work out = work;
  if (tail.samples.empty()) return out;
  const auto opened = tail.samples.front().at;
  std::erase_if(out.completions, [&](const Completion& c) { return c.at <= opened; });
  out.began = std::max(work.began, opened);
  out.inferences = 0;
  for (const auto& c : out.completions) out.inferences += c.inferences;
  return out;
}

WindowSizing::WindowSizing(const SizingRule& rule, const Window& window, const Clock& clock, Seconds block)
    : rule_(rule), window_(window), clock_(clock), block_(block), began_(clock.now()), next_(began_ + rule.shortest) {}

bool WindowSizing::enough(const Work& so_far) {
  const auto now = clock_.now();
  if (now < next_) return false;
  next_ = now + std::max(block_, kShareBetweenLooks * (now - began_));
  const auto reading = window_.so_far();
  // A meter that fails voids the trial: no need to work on.
  if (!reading) return reading.error().code != Errc::kBusy;
  const Sized sized = size_up(rule_, so_far, *reading);
  if (!long_enough(rule_, sized)) return false;
  from_ = sized.part.from;
  return true;
}

}  // namespace polythrottle
