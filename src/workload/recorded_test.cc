#include "workload/recorded.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <set>

#include "workload/csv.h"

namespace polythrottle {
namespace {

TEST(Csv, ReadsQuotesLineEndsAndComments) {
  const auto csv = parse_csv("\xef\xbb\xbf# about: x\r\na,\"b, \"\"c\"\"\"\r\n\r\n1,\"two\nlines\"\n3,4").value();
  EXPECT_EQ(csv.header, (std::vector<std::string>{"a", "b, \"c\""}));
  EXPECT_EQ(csv.comments, (std::vector<std::string>{"about: x"}));
  ASSERT_EQ(csv.rows.size(), 2U);
  EXPECT_EQ(csv.rows[0].cells[1], "two\nlines");
  EXPECT_EQ(csv.rows[0].line, 4U);
  EXPECT_EQ(csv.rows[1].line, 6U);
}

TEST(Csv, NamesTheLineThatIsWrong) {
  EXPECT_NE(parse_csv("a,b\n1\n").error().what.find("line 2"), std::string::npos);
  EXPECT_NE(parse_csv("a,b\n1,\"2\n").error().what.find("never closed"), std::string::npos);
  EXPECT_NE(parse_csv("a,b\n1,\"2\"x\n").error().what.find("closing quote"), std::string::npos);
  EXPECT_EQ(parse_csv("a,a\n").error().code, Errc::kCorrupt);
  EXPECT_EQ(parse_csv("a,\n").error().code, Errc::kCorrupt);
  EXPECT_EQ(parse_csv("").error().code, Errc::kInvalid);
  EXPECT_EQ(parse_csv("# only a comment\n").error().code, Errc::kInvalid);
}

constexpr char kSmall[] =
    "workload,gpu_mhz,batch,precision,repeat,latency_ms,throughput_per_s,power_w,energy_j_per_inference\n"
    "net,500,1,fp16,1,20,50,10,\n"
    "net,1000,1,fp16,1,10,100,30,0.31\n"
    "net,1000,4,fp16,1,30,120,36,\n"
    "other,1000,1,fp16,1,10,100,30,0.3\n";

TEST(RecordedTable, KnobsAreTheColumnsThatVary) {
  const auto table = parse_recorded_table(kSmall, "net").value();
  ASSERT_EQ(table.space.parameters().size(), 2U);
  EXPECT_EQ(table.space.parameters()[0].name, "gpu_mhz");
  EXPECT_EQ(table.space.parameters()[1].role, Role::kBatch);
  EXPECT_EQ(table.space.size(), 3U);  // ragged: 500 MHz only with batch 1
  EXPECT_EQ(table.reference, (Config{{"gpu_mhz", 1000.0}, {"batch", 1.0}}));
}

TEST(RecordedTable, DerivesJoulesFromPowerAndThroughputAndSaysSo) {
  const auto table = parse_recorded_table(kSmall, "net").value();
  EXPECT_DOUBLE_EQ(table.cells[0][0].at(std::string(kEnergy)).value, 0.2);
  EXPECT_DOUBLE_EQ(table.cells[1][0].at(std::string(kEnergy)).value, 0.31);
  EXPECT_NE(table.notes.at(0).find("2 of 3 rows"), std::string::npos);
  EXPECT_FALSE(table.cells[0][0].at(std::string(kEnergy)).std_error);
}

TEST(RecordedTable, NeedsAWorkloadThatIsThere) {
  EXPECT_NE(parse_recorded_table(kSmall, "nothing").error().hint.find("net, other"), std::string::npos);
  EXPECT_EQ(parse_recorded_table(kSmall, "").error().code, Errc::kInvalid);
}

TEST(RecordedTable, RefusesBadRowsByLine) {
  const std::string head = "workload,gpu_mhz,repeat,latency_ms,energy_j_per_inference\nnet,1000,1,10,0.3\n";
  const auto error = [&](const std::string& row) {
    const auto table = parse_recorded_table(head + row, "net");
    return table ? std::string() : table.error().text();
  };
  EXPECT_NE(error("net,900,1,ten,0.3\n").find("line 3: latency_ms: 'ten' is no number"), std::string::npos);
  EXPECT_NE(error("net,9e999,1,10,0.3\n").find("line 3"), std::string::npos);
  EXPECT_NE(error("net,900,1,-10,0.3\n").find("above zero"), std::string::npos);
  EXPECT_NE(error("net,1000,1,10,0.3\n").find("line 3 duplicates line 2"), std::string::npos);
  EXPECT_NE(error("net,1000,1,11,0.3\n").find("line 3 contradicts line 2"), std::string::npos);
  EXPECT_NE(error("net,,1,11,0.3\n").find("gpu_mhz is empty"), std::string::npos);
  EXPECT_EQ(error("net,900,1,10,0.3\n"), "");
  EXPECT_NE(parse_recorded_table("workload,gpu_ghz\nnet,1\n", "net").error().what.find("unknown column 'gpu_ghz'"), std::string::npos);
  EXPECT_EQ(parse_recorded_table("workload,gpu_mhz,latency_ms\n", "").error().code, Errc::kInvalid);
}

TEST(RecordedTable, RepeatsStateTheErrorOfEveryCell) {
  const auto table = parse_recorded_table(
                         "workload,gpu_mhz,repeat,latency_ms,energy_j_per_inference\n"
                         "n,1,1,10,1.00\nn,1,2,10,1.02\nn,2,1,5,2.0\n",
                         "n")
                         .value();
  ASSERT_EQ(table.cells[0].size(), 2U);
  const double relative = std::log(1.02) / std::sqrt(2.0);
  EXPECT_NEAR(*table.cells[1][0].at(std::string(kEnergy)).std_error, 2.0 * relative, 1e-12);
}

TEST(RecordedTable, ARowWithoutResultsIsARefusedSetting) {
  auto table = parse_recorded_table("workload,gpu_mhz,latency_ms,energy_j_per_inference\nn,1,10,1\nn,2,,\n", "n").value();
  ASSERT_EQ(table.space.size(), 2U);
  const auto clock = real_clock();
  const auto files = real_files();
  Host host{*files, *clock};
  const auto workload = recorded_workload(host, std::move(table), Seconds(0));
  EXPECT_TRUE(workload->configure(Config{{"gpu_mhz", 1.0}}));
  EXPECT_EQ(workload->configure(Config{{"gpu_mhz", 2.0}}).error().code, Errc::kOutOfRange);
  EXPECT_EQ(workload->configure(Config{{"gpu_mhz", 3.0}}).error().code, Errc::kOutOfRange);
}

TEST(RecordedTable, ACommentNamesTheReference) {
  const std::string rows = "workload,gpu_mhz,latency_ms,energy_j_per_inference\nn,1,10,1\nn,2,5,2\n";
  EXPECT_EQ(parse_recorded_table("# reference: gpu_mhz=1\n" + rows, "n").value().reference, (Config{{"gpu_mhz", 1.0}}));
  EXPECT_EQ(parse_recorded_table("# reference m: gpu_mhz=1\n" + rows, "n").value().reference, (Config{{"gpu_mhz", 2.0}}));
  EXPECT_EQ(parse_recorded_table("# reference: gpu_mhz=3\n" + rows, "n").error().code, Errc::kCorrupt);
}

TEST(RecordedTable, DrawsRepeatsByTheSeedOfTheTrial) {
  const auto clock = real_clock();
  const auto files = real_files();
  Host host{*files, *clock};
  auto table = parse_recorded_table("workload,gpu_mhz,repeat,latency_ms\nn,1,1,10\nn,1,2,11\nn,2,1,5\n", "n").value();
  const auto workload = recorded_workload(host, std::move(table), Seconds(0));
  ASSERT_TRUE(workload->configure(Config{{"gpu_mhz", 1.0}}));
  std::set<double> seen;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Budget budget;
    budget.seed = seed;
    const double once = workload->run(budget, {}).value().ready->at(std::string(kLatencyMean)).value;
    EXPECT_EQ(workload->run(budget, {}).value().ready->at(std::string(kLatencyMean)).value, once);
    seen.insert(once);
  }
  EXPECT_EQ(seen.size(), 2U);
}

TEST(RecordedTable, ReadsTheTablesOfOthers) {
  const std::string folder = POLYTHROTTLE_SOURCE_DIR "/../shared/data/tables";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << folder << " is absent: the real tables are not in the repository";
  const auto rtx = read_recorded_table(folder + "/rtx5090_gpu_mem.csv", "gemma4-31b-vllm-mtp-decode6-narr").value();
  EXPECT_EQ(rtx.space.size(), 28U);
  EXPECT_EQ(rtx.reference, (Config{{"gpu_mhz", 3090.0}, {"mem_mhz", 14001.0}}));
  const auto zeus = read_recorded_table(folder + "/zeus_batch_power.csv", "imagenet-resnet50-adadelta@v100").value();
  EXPECT_EQ(zeus.reference.number("batch"), 256.0);
  EXPECT_EQ(read_recorded_table(folder + "/absent.csv", "x").error().code, Errc::kNotFound);
}

}  // namespace
}  // namespace polythrottle
