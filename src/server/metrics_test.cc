#include "server/metrics.h"

#include <gmock/gmock.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>

#include "server/example_snapshot.h"
#include "server/rest.h"

namespace polythrottle::server {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string file(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// The names behind which samples stand.
std::set<std::string> sample_names(const std::string& text) {
  std::set<std::string> out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with('#')) out.insert(line.substr(0, line.find_first_of("{ ")));
  }
  return out;
}

TEST(Metrics, WriteCumulativeBucketsWithTheSumAndTheCount) {
  const std::string text = metrics_text(example_snapshot());
  EXPECT_THAT(text, HasSubstr("# TYPE polythrottle_request_latency_seconds histogram\n"
                              "polythrottle_request_latency_seconds_bucket{le=\"5e-05\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("polythrottle_request_latency_seconds_bucket{le=\"0.05\"} 50\n"
                              "polythrottle_request_latency_seconds_bucket{le=\"0.1\"} 100\n"));
  EXPECT_THAT(text, HasSubstr("polythrottle_request_latency_seconds_bucket{le=\"+Inf\"} 100\n"
                              "polythrottle_request_latency_seconds_sum 5.0"));
  EXPECT_THAT(text, HasSubstr("polythrottle_request_latency_seconds_count 100\n"));
}

TEST(Metrics, SayTheProvenanceBesideEveryWattAndJoule) {
  std::istringstream lines(metrics_text(example_snapshot()));
  int found = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('#') || (line.find("_watts") == std::string::npos && line.find("_joules") == std::string::npos)) continue;
    EXPECT_THAT(line, HasSubstr("provenance=\"measured"));
    ++found;
  }
  EXPECT_EQ(found, 4);  // the power of one rail, the energy of two, that of a request
}

TEST(Metrics, EscapeLabelsAndKeepOneLineASample) {
  EXPECT_THAT(metrics_text(example_snapshot()), HasSubstr(R"(polythrottle_job_state{job="7",name="daily \"update\"\\\n",state="waiting"} 1)"
                                                          "\n"));
}

TEST(Metrics, GiveKnobsAsNumbersWhereTheyAreNumbers) {
  const std::string text = metrics_text(example_snapshot());
  EXPECT_THAT(text, HasSubstr("polythrottle_knob_got{knob=\"cpu_max_hz\",unit=\"Hz\"} 2000000000\n"));
  EXPECT_THAT(text, HasSubstr("polythrottle_knob_info{knob=\"governor\",asked=\"\",got=\"schedutil\",unit=\"\"} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("polythrottle_knob_got{knob=\"governor\"")));
}

TEST(Metrics, LeaveOutWhatIsNotKnown) {
  const std::string text = metrics_text(Snapshot{});
  for (const char* name : {"watts", "joules", "celsius", "attainment", "percentile"}) EXPECT_THAT(text, Not(HasSubstr(name))) << name;
  EXPECT_THAT(text, HasSubstr("polythrottle_ready 0\n"));
  EXPECT_THAT(text, HasSubstr("polythrottle_batch_size_bucket{le=\"+Inf\"} 0\n"));
}

TEST(Metrics, FollowTheNamingRulesOfPrometheus) {
  const std::regex name("[a-z][a-z_]*[a-z]");
  std::set<std::string> names;
  for (const auto& metric : server_metrics()) {
    const std::string full = full_name(metric);
    EXPECT_TRUE(std::regex_match(full, name)) << full;
    EXPECT_TRUE(names.insert(full).second) << full;
    EXPECT_TRUE(metric.help.ends_with('.')) << full;
    EXPECT_EQ(full.ends_with("_total"), metric.type == MetricType::kCounter) << full;
  }
}

TEST(Metrics, CountAttainmentOverAllThatEnded) {
  EXPECT_DOUBLE_EQ(*attainment(example_snapshot()), 95.0 / 110.0);
  EXPECT_FALSE(attainment(Snapshot{}));
}

TEST(Metrics, AreAcceptedByPrometheusOwnChecker) {
  if (std::system("promtool --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "promtool is not installed (Debian: prometheus)";
  const std::string path = POLYTHROTTLE_BINARY_DIR "/metrics_test.txt";
  std::ofstream(path) << metrics_text(example_snapshot());
  const std::string said = path + ".said";
  const int status = std::system(("promtool check metrics <" + path + " >" + said + " 2>&1").c_str());
  EXPECT_EQ(status, 0) << file(said);
  EXPECT_EQ(file(said), "");
}

const char* type_word(MetricType type) {
  return type == MetricType::kCounter ? "counter" : type == MetricType::kGauge ? "gauge" : "histogram";
}

/// "`a`, `b`" of the first sample's labels, without the bound of a bucket.
std::string label_names(const std::string& samples) {
  const std::regex label("([a-z_]+)=\"");
  const std::string first = samples.substr(0, samples.find('\n'));
  std::string out;
  for (std::sregex_iterator at(first.begin(), first.end(), label), end; at != end; ++at) {
    if ((*at)[1] != "le") out += (out.empty() ? "`" : ", `") + (*at)[1].str() + "`";
  }
  return out;
}

/// A row of the page for each "# HELP name words" of a text that Prometheus reads.
std::string rows_of(const std::string& text) {
  std::string out, name, help;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const auto word = line.find(' ', 7);
    if (line.starts_with("# HELP ")) {
      name = line.substr(7, word - 7);
      help = line.substr(word + 1);
    } else if (line.starts_with("# TYPE ")) {
      std::string sample;
      std::getline(lines, sample);
      out += "| `" + name + "` | " + line.substr(word + 1) + " | " + label_names(sample) + " | " + help + " |\n";
    }
  }
  return out;
}

TEST(Metrics, StandInTheirPageAsTheyAreInTheTable) {
  std::string wanted = "| metric | type | labels | meaning |\n|---|---|---|---|\n";
  for (const auto& metric : server_metrics()) {
    std::string samples;
    metric.samples(example_snapshot(), full_name(metric), samples);
    ASSERT_NE(samples, "") << full_name(metric) << ": the example has nothing of it";
    wanted += "| `" + full_name(metric) + "` | " + type_word(metric.type) + " | " + label_names(samples) + " | " +
              std::string(metric.help) + " |\n";
  }
  RouteStatistics route;
  route.route = "GET v2";
  route.answers[200] = 1;
  wanted += rows_of(route_metrics_text({route}));
  const std::string path = POLYTHROTTLE_BINARY_DIR "/metrics_table.md";
  std::ofstream(path) << wanted;
  const std::string page = file(POLYTHROTTLE_SOURCE_DIR "/docs/metrics.md");
  const auto begin = page.find("| metric |");
  ASSERT_NE(begin, std::string::npos) << "docs/metrics.md has no table; it is in " << path;
  const auto end = page.find("\n\n", begin);
  EXPECT_EQ(page.substr(begin, end == std::string::npos ? end : end + 1 - begin), wanted)
      << "docs/metrics.md: its table is to be that of " << path;
}

TEST(Metrics, AreAllThatTheGrafanaDashboardAsksFor) {
  const auto names = sample_names(metrics_text(example_snapshot()));
  const auto dashboard = nlohmann::json::parse(file(POLYTHROTTLE_SOURCE_DIR "/contrib/grafana/polythrottle.json"));
  const std::regex metric("polythrottle_[a-z_]+");
  std::size_t queries = 0;
  const auto check = [&](const std::string& query) {
    std::size_t found = 0;
    for (std::sregex_iterator at(query.begin(), query.end(), metric), end; at != end; ++at, ++found) {
      EXPECT_TRUE(names.contains(at->str())) << at->str() << " in " << query;
    }
    EXPECT_GT(found, 0u) << query;
    ++queries;
  };
  for (const auto& panel : dashboard["panels"]) {
    if (!panel.contains("targets")) continue;
    for (const auto& target : panel["targets"]) check(target["expr"].get<std::string>());
  }
  for (const auto& variable : dashboard["templating"]["list"]) {
    if (variable["type"] == "query") check(variable["query"].get<std::string>());
  }
  EXPECT_GE(queries, 10u);
}

}  // namespace
}  // namespace polythrottle::server
