#include "server/page.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "ServerPage.h"
#include "server/metrics.h"

namespace polythrottle::server {
namespace {

using Json = nlohmann::ordered_json;

template <class T>
Json known(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json histogram_json(const Histogram& h) { return {{"bounds", h.bounds}, {"counts", h.counts}, {"total", h.total}, {"sum", h.sum}}; }

}  // namespace

std::string_view page_html() { return {kServerPage, sizeof(kServerPage) - 1}; }

std::string snapshot_json(const Snapshot& s) {
  Json rails = Json::array();
  for (const auto& r : s.rails) {
    rails.push_back({{"rail", r.rail}, {"meter", r.meter}, {"provenance", r.provenance}, {"watts", known(r.watts)}, {"joules", r.joules}});
  }
  Json knobs = Json::array();
  for (const auto& k : s.knobs) knobs.push_back({{"knob", k.knob}, {"asked", k.asked}, {"got", k.got}, {"unit", k.unit}});
  Json jobs = Json::array();
  for (const auto& j : s.jobs) {
    jobs.push_back(
        {{"id", j.id}, {"name", j.name}, {"state", j.state}, {"why", j.why}, {"steps_done", j.steps_done}, {"steps", known(j.steps)}});
  }
  const Json out = {
      {"time", s.time},
      {"up", s.up},
      {"model", s.model},
      {"version", s.version},
      {"engine", s.engine},
      {"policy", s.policy},
      {"device", s.device},
      {"ready", s.ready},
      {"slo", s.slo},
      {"requests", s.requests},
      {"answered", s.answered},
      {"late", s.late},
      {"failed", s.failed},
      {"drops", s.drops},
      {"switches", s.switches},
      {"permits", s.permits},
      {"items", s.items},
      {"holds", s.holds},
      {"latency", histogram_json(s.latency)},
      {"queue", histogram_json(s.queue)},
      {"compute", histogram_json(s.compute)},
      {"batch", histogram_json(s.batch)},
      {"error", histogram_json(s.error)},
      {"attainment", known(attainment(s))},
      {"queued", s.queued},
      {"rate", s.rate},
      {"configuration", s.configuration},
      {"row", s.row},
      {"rails", std::move(rails)},
      {"knobs", std::move(knobs)},
      {"joules_per_request", known(s.joules_per_request)},
      {"energy_provenance", s.energy_provenance},
      {"temperature", known(s.temperature)},
      {"jobs", std::move(jobs)},
      {"p50", known(s.p50)},
      {"p95", known(s.p95)},
      {"p99", known(s.p99)},
  };
  // Names come from users: what is no UTF-8 is shown as such rather than breaking the page.
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace polythrottle::server
