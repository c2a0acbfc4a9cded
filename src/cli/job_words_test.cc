#include "cli/job_words.h"

#include <gtest/gtest.h>

namespace polythrottle {
namespace {

TEST(JobWords, MakeASpec) {
  const auto spec = spec_from({.name = "update",
                               .memory = "1.5G",
                               .deadline = "1h",
                               .slice = "50ms",
                               .kind = "signal",
                               .folder = "/data",
                               .cpus = 1.5,
                               .environment = {"A=b=c", "EMPTY="},
                               .command = std::vector<std::string>{"./train", "--epochs", "2"}});
  ASSERT_TRUE(spec) << spec.error().text();
  EXPECT_EQ(spec->memory_bytes, 1.5 * 1024 * 1024 * 1024);
  EXPECT_EQ(spec->deadline, Seconds(3600));
  EXPECT_EQ(spec->slice, Seconds(0.05));
  EXPECT_EQ(spec->environment.at("A"), "b=c");
  EXPECT_EQ(spec->environment.at("EMPTY"), "");
  EXPECT_EQ(spec->command.back(), "2");
}

TEST(JobWords, AreRefusedByTheirOption) {
  const std::vector<std::string> command{"true"};
  const std::pair<JobWords, const char*> wrong[] = {
      {{}, "no command"},
      {{.command = std::vector<std::string>{}}, "no command"},
      {{.memory = "lots", .command = command}, "--memory"},
      {{.memory = "2X", .command = command}, "--memory"},
      {{.deadline = "soon", .command = command}, "--deadline"},
      {{.slice = "20", .command = command}, "--slice"},
      {{.slice = "1h", .command = command}, "'slice'"},
      {{.kind = "docker", .command = command}, "'kind'"},
      {{.cpus = -1.0, .command = command}, "'cpus'"},
      {{.environment = {"=b"}, .command = command}, "--env"},
      {{.environment = {"b"}, .command = command}, "--env"},
  };
  for (const auto& [words, expected] : wrong) {
    const auto spec = spec_from(words);
    ASSERT_FALSE(spec) << expected;
    EXPECT_EQ(spec.error().code, Errc::kInvalid);
    EXPECT_NE(spec.error().what.find(expected), std::string::npos) << spec.error().text();
  }
}

TEST(JobWords, SizesArePowersOf1024) {
  EXPECT_EQ(parse_bytes("1000"), 1000.0);
  EXPECT_EQ(parse_bytes("2k"), 2048.0);
  EXPECT_EQ(parse_bytes("2KB"), 2048.0);
  EXPECT_EQ(parse_bytes("2MiB"), 2.0 * 1024 * 1024);
  for (const char* wrong : {"", "G", "-1G", "0", "inf", "nan", "1GG", "1 G", "1e400"}) EXPECT_FALSE(parse_bytes(wrong)) << wrong;
}

TEST(JobTable, AlignsWhatTheServerSays) {
  const auto table = job_table(R"({"jobs": [
    {"id": 1, "spec": {"name": "update", "command": ["./train"]}, "state": "waiting", "kind": "step", "steps_done": 3, "steps": 100, "why": "a batch is due"},
    {"id": 12, "spec": {"name": "", "command": ["./train", "x"]}, "state": "done", "kind": "signal", "steps_done": 7, "steps": null, "why": "\u001b[2J"}]})");
  ASSERT_TRUE(table) << table.error().text();
  EXPECT_EQ(*table,
            "id  name       state    kind    steps     why\n"
            " 1  update     waiting  step    3 of 100  a batch is due\n"
            "12  ./train x  done     signal  7          [2J\n");
  EXPECT_EQ(job_table(R"({"jobs": []})"), "No jobs.\n");
}

TEST(JobTable, OfGarbageIsAnError) {
  for (const char* wrong : {"", "[]", "{}", R"({"jobs": 1})", R"({"jobs": [1]})", "<html>"}) EXPECT_FALSE(job_table(wrong)) << wrong;
  EXPECT_TRUE(job_table(R"({"jobs": [{"id": "x", "spec": 1, "state": 3}]})"));
}

TEST(JobRefusal, IsTheServersWordOrTheStatus) {
  EXPECT_EQ(refusal_words(404, R"({"error": "there is no job '7'\n"})"), "there is no job '7' ");
  EXPECT_EQ(refusal_words(500, "<html>"), "the server answered with status 500");
}

}  // namespace
}  // namespace polythrottle
