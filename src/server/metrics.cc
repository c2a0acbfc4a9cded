#include "server/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <initializer_list>
#include <type_traits>

namespace polythrottle::server {
namespace {

struct Label {
  std::string_view name, value;
};
using Labels = std::initializer_list<Label>;

std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

/// Of a label's value; the format escapes these three and no other.
void append_escaped(std::string_view text, std::string& out) {
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
}

void line(std::string& out, std::string_view name, Labels labels, const std::string& value) {
  out += name;
  char before = '{';
  for (const auto& label : labels) {
    out += before;
    out += label.name;
    out += "=\"";
    append_escaped(label.value, out);
    out += '"';
    before = ',';
  }
  if (labels.size() > 0) out += '}';
  out += ' ';
  out += value;
  out += '\n';
}

void sample(std::string& out, std::string_view name, Labels labels, double value) { line(out, name, labels, number(value)); }
void sample(std::string& out, std::string_view name, Labels labels, std::uint64_t value) {
  line(out, name, labels, fmt::format("{}", value));
}

void histogram(const Histogram& h, const std::string& name, std::string& out) {
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < h.bounds.size() && i < h.counts.size(); ++i) {
    below += h.counts[i];
    sample(out, name + "_bucket", {{"le", number(h.bounds[i])}}, below);
  }
  sample(out, name + "_bucket", {{"le", "+Inf"}}, h.total);
  sample(out, name + "_sum", {}, h.sum);
  sample(out, name + "_count", {}, h.total);
}

template <auto Member>
void member(const Snapshot& s, const std::string& name, std::string& out) {
  using Type = std::decay_t<decltype(s.*Member)>;
  if constexpr (std::is_same_v<Type, Histogram>) {
    histogram(s.*Member, name, out);
  } else if constexpr (std::is_integral_v<Type>) {
    sample(out, name, {}, static_cast<std::uint64_t>(s.*Member));
  } else {
    sample(out, name, {}, s.*Member);
  }
}

void knob_number(const KnobReading& knob, const std::string& text, const std::string& name, std::string& out) {
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc{} && end == text.data() + text.size()) sample(out, name, {{"knob", knob.knob}, {"unit", knob.unit}}, value);
}

using S = Snapshot;
using Name = std::string;
using Out = std::string;
constexpr auto kCounter = MetricType::kCounter;
constexpr auto kGauge = MetricType::kGauge;
constexpr auto kHistogram = MetricType::kHistogram;

constexpr std::array kMetrics{
    ServerMetric{"server_info", "", kGauge, "1; what is served, by what, where.",
                 [](const S& s, const Name& n, Out& out) {
                   sample(out, n,
                          {{"model", s.model}, {"version", s.version}, {"engine", s.engine}, {"policy", s.policy}, {"device", s.device}},
                          1.0);
                 }},
    ServerMetric{"ready", "", kGauge, "1 while requests are taken, else 0.", member<&S::ready>},
    ServerMetric{"snapshot_time", "seconds", kGauge, "When these numbers were taken, since the Unix epoch.", member<&S::time>},
    ServerMetric{"up", "seconds", kGauge, "Time since the server started.", member<&S::up>},
    ServerMetric{"slo", "seconds", kGauge, "Longest that a request may take from arrival to answer.", member<&S::slo>},

    ServerMetric{"requests", "", kCounter, "Requests that came.", member<&S::requests>},
    ServerMetric{"requests_answered", "", kCounter, "Requests answered with outputs, late ones included.", member<&S::answered>},
    ServerMetric{"requests_late", "", kCounter, "Requests answered after their deadline.", member<&S::late>},
    ServerMetric{"requests_failed", "", kCounter, "Requests answered with an error of the engine or of themselves.", member<&S::failed>},
    ServerMetric{"requests_dropped", "", kCounter, "Requests that were not run, by reason.",
                 [](const S& s, const Name& n, Out& out) {
                   for (const auto& [reason, count] : s.drops) sample(out, n, {{"reason", reason}}, count);
                 }},
    ServerMetric{"attainment", "ratio", kGauge, "Requests answered in time over all that have ended, since the start.",
                 [](const S& s, const Name& n, Out& out) {
                   if (const auto ratio = attainment(s)) sample(out, n, {}, *ratio);
                 }},
    ServerMetric{"request_latency", "seconds", kHistogram, "From arrival to answer.", member<&S::latency>},
    ServerMetric{"request_queue", "seconds", kHistogram, "From arrival to the start of its batch.", member<&S::queue>},
    ServerMetric{"recent_request_latency", "seconds", kGauge, "Of requests answered in the last interval.",
                 [](const S& s, const Name& n, Out& out) {
                   if (s.p50) sample(out, n, {{"percentile", "50"}}, *s.p50);
                   if (s.p95) sample(out, n, {{"percentile", "95"}}, *s.p95);
                   if (s.p99) sample(out, n, {{"percentile", "99"}}, *s.p99);
                 }},
    ServerMetric{"requests_queued", "", kGauge, "Requests that wait now.",
                 [](const S& s, const Name& n, Out& out) { sample(out, n, {}, static_cast<std::uint64_t>(s.queued)); }},
    ServerMetric{"requests_per_second", "", kGauge, "Rate at which requests come, as estimated now.", member<&S::rate>},

    ServerMetric{"batch_compute", "seconds", kHistogram, "How long a batch ran.", member<&S::compute>},
    ServerMetric{"batch_size", "", kHistogram, "Requests in a batch.", member<&S::batch>},
    ServerMetric{"batch_latency_error", "ratio", kHistogram, "Actual over predicted latency of a batch.", member<&S::error>},

    ServerMetric{"configuration_info", "", kGauge, "1; the configuration in force, as text.",
                 [](const S& s, const Name& n, Out& out) {
                   sample(out, n, {{"configuration", s.configuration}}, 1.0);
                 }},
    ServerMetric{"configuration_row", "", kGauge, "Row of the table of configurations in force.",
                 [](const S& s, const Name& n, Out& out) { sample(out, n, {}, static_cast<std::uint64_t>(s.row)); }},
    ServerMetric{"configuration_switches", "", kCounter, "Changes of configuration, by cause.",
                 [](const S& s, const Name& n, Out& out) {
                   for (const auto& [cause, count] : s.switches) sample(out, n, {{"cause", cause}}, count);
                 }},
    ServerMetric{"knob_info", "", kGauge, "1; what was asked of a knob and what the machine reports, as text.",
                 [](const S& s, const Name& n, Out& out) {
                   for (const auto& k : s.knobs)
                     sample(out, n, {{"knob", k.knob}, {"asked", k.asked}, {"got", k.got}, {"unit", k.unit}}, 1.0);
                 }},
    ServerMetric{"knob_asked", "", kGauge, "What was asked of a knob, where that is a number, in its unit.",
                 [](const S& s, const Name& n, Out& out) {
                   for (const auto& k : s.knobs) knob_number(k, k.asked, n, out);
                 }},
    ServerMetric{"knob_got", "", kGauge, "What the machine reports of a knob, where that is a number, in its unit.",
                 [](const S& s, const Name& n, Out& out) {
                   for (const auto& k : s.knobs) knob_number(k, k.got, n, out);
                 }},

    ServerMetric{"power", "watts", kGauge, "Mean power of a rail over the last interval; provenance says how it is known.",
                 [](const S& s, const Name& n, Out& out) {
                   for (const auto& r : s.rails) {
                     if (r.watts) sample(out, n, {{"rail", r.rail}, {"meter", r.meter}, {"provenance", r.provenance}}, *r.watts);
                   }
                 }},
    ServerMetric{"energy", "joules", kCounter, "Energy of a rail since the server started; provenance says how it is known.",
                 [](const S& s, const Name& n, Out& out) {
                   for (const auto& r : s.rails) {
                     sample(out, n, {{"rail", r.rail}, {"meter", r.meter}, {"provenance", r.provenance}}, r.joules);
                   }
                 }},
    ServerMetric{"energy_per_request", "joules", kGauge, "Over the last minute, of the widest rail; provenance says how it is known.",
                 [](const S& s, const Name& n, Out& out) {
                   if (s.joules_per_request) sample(out, n, {{"provenance", s.energy_provenance}}, *s.joules_per_request);
                 }},
    ServerMetric{"temperature", "celsius", kGauge, "Of the device.",
                 [](const S& s, const Name& n, Out& out) {
                   if (s.temperature) sample(out, n, {}, *s.temperature);
                 }},

    ServerMetric{"step_permits", "", kCounter, "Steps that fine-tuning jobs were let do.", member<&S::permits>},
    ServerMetric{"step_items", "", kCounter, "Items in the steps that fine-tuning jobs were let do.", member<&S::items>},
    ServerMetric{"step_holds", "", kCounter, "Decisions to let a fine-tuning job wait.", member<&S::holds>},
    ServerMetric{"job_state", "", kGauge, "1; a job and its state.",
                 [](const S& s, const Name& n, Out& out) {
                   for (const auto& j : s.jobs) {
                     sample(out, n, {{"job", std::to_string(j.id)}, {"name", j.name}, {"state", j.state}}, 1.0);
                   }
                 }},
    ServerMetric{"job_steps_done", "", kGauge, "Steps that a job has done.",
                 [](const S& s, const Name& n, Out& out) {
                   for (const auto& j : s.jobs) {
                     sample(out, n, {{"job", std::to_string(j.id)}, {"name", j.name}}, static_cast<double>(j.steps_done));
                   }
                 }},
    ServerMetric{"job_steps", "", kGauge, "Steps that a job has in all, where it said so.",
                 [](const S& s, const Name& n, Out& out) {
                   for (const auto& j : s.jobs) {
                     if (j.steps) sample(out, n, {{"job", std::to_string(j.id)}, {"name", j.name}}, static_cast<double>(*j.steps));
                   }
                 }},
};

std::string_view type_name(MetricType type) {
  switch (type) {
    case MetricType::kCounter: return "counter";
    case MetricType::kGauge: return "gauge";
    case MetricType::kHistogram: return "histogram";
  }
  return "untyped";
}

}  // namespace

std::optional<double> attainment(const Snapshot& snapshot) {
  std::uint64_t ended = snapshot.answered + snapshot.failed;
  for (const auto& [reason, count] : snapshot.drops) ended += count;
  if (ended == 0) return std::nullopt;
  return static_cast<double>(snapshot.answered - std::min(snapshot.late, snapshot.answered)) / static_cast<double>(ended);
}

std::span<const ServerMetric> server_metrics() { return kMetrics; }

std::string full_name(const ServerMetric& metric) {
  return fmt::format("polythrottle_{}{}{}{}", metric.name, metric.unit.empty() ? "" : "_", metric.unit,
                     metric.type == MetricType::kCounter ? "_total" : "");
}

std::string metrics_text(const Snapshot& snapshot) {
  std::string out;
  std::string samples;
  for (const auto& metric : kMetrics) {
    const std::string name = full_name(metric);
    samples.clear();
    metric.samples(snapshot, name, samples);
    if (samples.empty()) continue;
    out += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", name, metric.help, type_name(metric.type));
    out += samples;
  }
  return out;
}

}  // namespace polythrottle::server
