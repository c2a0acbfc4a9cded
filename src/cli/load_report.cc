#include "cli/load_report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "cli/version.h"
#include "trial/metric.h"

namespace polythrottle {
namespace {

constexpr std::pair<const char*, double> kPercentiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p95", 0.95}, {"p99", 0.99}, {"p99.9", 0.999}};

std::string seconds_text(std::optional<Seconds> time) { return time ? format_si(time->count(), "s") : "-"; }
Json seconds_json(std::optional<Seconds> time) { return time ? Json(time->count()) : Json(nullptr); }

double throughput(const LoadTally& tally, const OipLoadRun& run) {
  const double time = (run.ended - run.began).count();
  return time > 0.0 ? static_cast<double>(tally.answered) / time : 0.0;
}

}  // namespace

std::string render_load(const LoadHeading& h, const LoadTally& t, const OipLoadRun& run) {
  std::string out = fmt::format("{} at {}: {}, {:.4g} requests/s for {:.4g} s, {}\n", h.model, h.target, h.arrivals, h.rate,
                                h.duration.count(), h.payload);
  out += fmt::format("  {} sent: {} answered, {} dropped (503), {} failed{}\n", t.sent, t.answered, t.dropped, t.failed,
                     t.unanswered > 0 ? fmt::format(", {} without an answer when it was ended", t.unanswered) : "");
  for (const auto& [reason, count] : t.dropped_why) out += fmt::format("    dropped {}: {}\n", count, reason);
  for (const auto& [reason, count] : t.failed_why) out += fmt::format("    failed {}: {}\n", count, reason);
  out += fmt::format("  latency of the answered, from the scheduled time: mean {}", seconds_text(t.latency.mean()));
  for (const auto& [name, q] : kPercentiles) out += fmt::format(", {} {}", name, seconds_text(t.latency.quantile(q)));
  out += fmt::format(", max {}\n", seconds_text(t.latency.max()));
  if (const auto part = t.attainment()) {
    out += fmt::format("  SLO {}: {:.3f} % of all requests answered within it\n", seconds_text(t.slo), 100.0 * *part);
  }
  out +=
      fmt::format("  throughput {:.4g} answers/s; {} connections of at most {}, {} requests waited for one, {} sent again on a new one\n",
                  throughput(t, run), run.connections, h.connection_limit, t.waited, run.reconnects);
  out += fmt::format("  send lag: mean {}, p99 {}, max {}\n", seconds_text(t.lag.mean()), seconds_text(t.lag.quantile(0.99)),
                     seconds_text(t.lag.max()));
  if (t.generator_was_late()) {
    out += "  The generator was the bottleneck: it was late itself, and the latencies hold its lag; use another machine or a lower rate.\n";
  }
  if (h.interrupted) out += "  Interrupted before its end.\n";
  return out;
}

Json load_json(const LoadHeading& h, const LoadTally& t, const OipLoadRun& run) {
  Json latency = {{"mean", seconds_json(t.latency.mean())}};
  for (const auto& [name, q] : kPercentiles) latency[name] = seconds_json(t.latency.quantile(q));
  latency["max"] = seconds_json(t.latency.max());
  const auto part = t.attainment();
  return {{"schema", 1},
          {"program", fmt::format("polythrottle {}", kVersion)},
          {"target", h.target},
          {"model", h.model},
          {"arrivals", h.arrivals},
          {"rate_per_second", h.rate},
          {"duration_seconds", h.duration.count()},
          {"payload", h.payload},
          {"seed", h.seed},
          {"sent", t.sent},
          {"answered", t.answered},
          {"dropped", t.dropped},
          {"failed", t.failed},
          {"unanswered", t.unanswered},
          {"dropped_why", t.dropped_why},
          {"failed_why", t.failed_why},
          {"latency_seconds", std::move(latency)},
          {"latency_precision", 0.001},
          {"slo_seconds", seconds_json(t.slo)},
          {"attainment", part ? Json(*part) : Json(nullptr)},
          {"throughput_per_second", throughput(t, run)},
          {"elapsed_seconds", (run.ended - run.began).count()},
          {"send_lag_seconds",
           {{"mean", seconds_json(t.lag.mean())}, {"p99", seconds_json(t.lag.quantile(0.99))}, {"max", seconds_json(t.lag.max())}}},
          {"generator_was_late", t.generator_was_late()},
          {"connections", run.connections},
          {"connection_limit", h.connection_limit},
          {"waited_for_connection", t.waited},
          {"reconnects", run.reconnects},
          {"interrupted", h.interrupted}};
}

std::string load_progress(Seconds now, const LoadTally& t, std::size_t under_way) {
  return fmt::format("{:.0f} s  {} answered  {} dropped  {} failed  p50 {}  p99 {}  {} under way", now.count(), t.answered, t.dropped,
                     t.failed, seconds_text(t.latency.quantile(0.5)), seconds_text(t.latency.quantile(0.99)), under_way);
}

}  // namespace polythrottle
