#include "server/page.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <regex>

#include "server/example_snapshot.h"

namespace polythrottle::server {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

TEST(Page, IsWholeAndNamesNoOtherHost) {
  const std::string page(page_html());
  EXPECT_TRUE(page.starts_with("<!DOCTYPE html>"));
  EXPECT_TRUE(page.ends_with("</html>\n"));
  EXPECT_THAT(page, Not(HasSubstr("://")));
  EXPECT_THAT(page, Not(HasSubstr("innerHTML")));  // names come from users
  EXPECT_THAT(page, HasSubstr("prefers-color-scheme"));
}

TEST(Page, ReadsOnlyWhatTheSnapshotHas) {
  const Json snapshot = Json::parse(snapshot_json(example_snapshot()));
  const std::string page(page_html());
  const std::regex member(R"(\bs\.([a-z_0-9]+))");
  std::size_t found = 0;
  for (std::sregex_iterator at(page.begin(), page.end(), member), end; at != end; ++at, ++found) {
    EXPECT_TRUE(snapshot.contains((*at)[1].str())) << at->str();
  }
  EXPECT_GT(found, 20u);
}

TEST(SnapshotJson, HasNullWhereNothingIsKnown) {
  const Json json = Json::parse(snapshot_json(Snapshot{}));
  for (const char* name : {"p50", "p95", "p99", "temperature", "joules_per_request", "attainment"})
    EXPECT_TRUE(json[name].is_null()) << name;
  EXPECT_TRUE(json["drops"].is_object());
  EXPECT_TRUE(json["jobs"].is_array());
}

TEST(SnapshotJson, HoldsWhatTheSnapshotHolds) {
  const Json json = Json::parse(snapshot_json(example_snapshot()));
  EXPECT_EQ(json["drops"]["expired"], 6);
  EXPECT_EQ(json["rails"][0]["provenance"], "measured");
  EXPECT_TRUE(json["rails"][1]["watts"].is_null());
  EXPECT_EQ(json["jobs"][0]["why"], "the risk would go over the budget");
  EXPECT_EQ(json["latency"]["counts"].size(), json["latency"]["bounds"].size() + 1);
}

TEST(SnapshotJson, SurvivesNamesThatAreNoText) {
  Snapshot s = example_snapshot();
  s.jobs[0].name = "\xff\xfe";
  EXPECT_TRUE(Json::accept(snapshot_json(s)));
}

}  // namespace
}  // namespace polythrottle::server
