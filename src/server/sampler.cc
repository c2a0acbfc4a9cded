#include "server/sampler.h"

#include <algorithm>

namespace polythrottle::server {
namespace {

constexpr double kMinute = 60.0;

}  // namespace

Sampler::Sampler(Clock& clock, std::span<const std::unique_ptr<Meter>> meters, std::span<const std::unique_ptr<Gauge>> gauges,
                 const SamplerOptions& options)
    : clock_(clock), options_(options) {
  for (const auto& meter : meters) {
    if (!meter->info().only_by_name && meter->prepare()) sources_.push_back({meter.get(), {}, {}});
  }
  for (const auto& gauge : gauges) {
    if (gauge->name() == "temperature_celsius") temperature_ = gauge.get();
  }
}

void Sampler::sample(Snapshot& snapshot) {
  bool widest = true;  // the first that answers is the one that is preferred
  for (auto& source : sources_) {
    const auto read = source.meter->read();
    if (!read) {
      source.last.reset();
      continue;
    }
    const auto& info = source.meter->info();
    const std::string provenance = options_.simulated ? "simulated" : info.estimated ? "estimated" : "measured";
    if (!source.first) source.first = *read;
    const auto add = [&](const std::string& rail, Joules now, Joules first, std::optional<Joules> last) {
      RailReading reading{rail, info.name, provenance, {}, (now - first).si()};
      const Seconds time = source.last ? read->at - source.last->at : Seconds(0);
      if (last && time > Seconds(0)) reading.watts = (now - *last).si() / time.count();
      snapshot.rails.push_back(std::move(reading));
    };
    add("", read->energy, source.first->energy, source.last ? std::optional(source.last->energy) : std::nullopt);
    for (std::size_t i = 0; i < info.rails.size() && i < read->rails.size(); ++i) {
      const bool before = source.last && i < source.last->rails.size();
      if (i >= source.first->rails.size()) continue;
      add(info.rails[i].name, read->rails[i], source.first->rails[i], before ? std::optional(source.last->rails[i]) : std::nullopt);
    }
    source.last = *read;
    if (!std::exchange(widest, false)) continue;
    const double now = clock_.now().time_since_epoch().count();
    minute_.push_back({now, read->energy.si(), snapshot.answered});
    while (minute_.size() > 2 && now - minute_.front().time > kMinute) minute_.pop_front();
    const auto& from = minute_.front();
    if (snapshot.answered > from.answered) {
      snapshot.joules_per_request = (read->energy.si() - from.joules) / static_cast<double>(snapshot.answered - from.answered);
    }
    snapshot.energy_provenance = provenance + ": " + info.boundary;
  }
  if (temperature_ != nullptr) {
    if (const auto read = temperature_->read()) snapshot.temperature = *read;
  }
}

}  // namespace polythrottle::server
