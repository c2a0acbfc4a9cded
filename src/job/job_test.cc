#include "job/job.h"

#include <gtest/gtest.h>

namespace polythrottle::job {
namespace {

TEST(JobSpec, ComesBackFromItsJson) {
  Spec spec{.name = "daily update",
            .command = {"./train", "--epochs=2", "a b"},
            .environment = {{"OMP_NUM_THREADS", "1"}},
            .folder = "/data",
            .memory_bytes = 2e9,
            .cpus = 1.5,
            .deadline = Seconds(3600),
            .kind = "signal",
            .slice = Seconds(0.05)};
  const auto back = parse_spec(to_json(spec));
  ASSERT_TRUE(back) << back.error().text();
  EXPECT_EQ(*back, spec);
}

TEST(JobSpec, NeedsNothingButACommand) {
  const auto spec = parse_spec(R"({"command": ["true"]})");
  ASSERT_TRUE(spec) << spec.error().text();
  EXPECT_EQ(*spec, Spec{.command = {"true"}});
}

TEST(JobSpec, NamesTheKeyThatIsWrong) {
  const std::pair<const char*, const char*> wrong[] = {
      {R"({})", "'command' is missing"},
      {R"([])", "object"},
      {R"({"command": )", "no JSON"},
      {R"({"command": "train"})", "'command'"},
      {R"({"command": []})", "'command'"},
      {R"({"command": [""]})", "'command'"},
      {R"({"command": ["a\u0000b"]})", "'command'"},
      {R"({"command": ["a"], "comand": 1})", "unknown key 'comand'"},
      {R"({"command": ["a"], "name": "a\nb"})", "'name'"},
      {R"({"command": ["a"], "environment": {"A=B": "c"}})", "'environment'"},
      {R"({"command": ["a"], "environment": {"A": 1}})", "'environment'"},
      {R"({"command": ["a"], "folder": "data"})", "'folder'"},
      {R"({"command": ["a"], "memory_bytes": 10})", "'memory_bytes'"},
      {R"({"command": ["a"], "memory_bytes": 1e999})", "no JSON"},
      {R"({"command": ["a"], "cpus": 0})", "'cpus'"},
      {R"({"command": ["a"], "deadline": -1})", "'deadline'"},
      {R"({"command": ["a"], "slice": 60})", "'slice'"},
      {R"({"command": ["a"], "slice": "20ms"})", "'slice'"},
      {R"({"command": ["a"], "kind": "docker"})", "'kind' must be one of"},
  };
  for (const auto& [text, words] : wrong) {
    const auto spec = parse_spec(text);
    ASSERT_FALSE(spec) << text;
    EXPECT_EQ(spec.error().code, Errc::kInvalid) << text;
    EXPECT_NE(spec.error().what.find(words), std::string::npos) << text << ": " << spec.error().text();
  }
}

TEST(JobKinds, WithoutAWishIsOneThatNeedsNothingOfTheProgram) {
  const auto kind = find_kind("");
  ASSERT_TRUE(kind) << kind.error().text();
  EXPECT_TRUE((*kind)->name == "freezer" || (*kind)->name == "signal");
  const auto none = find_kind("docker");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Errc::kInvalid);
}

}  // namespace
}  // namespace polythrottle::job
