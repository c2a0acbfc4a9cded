#include "job/program_tree.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "job/live_program.h"

namespace polythrottle::job {
namespace {

using Hold = ProgramTree::Options::Hold;

Spec shell(const std::string& script) { return Spec{.command = {"/bin/sh", "-c", script}}; }

class ProgramTrees : public ::testing::TestWithParam<Hold> {
 protected:
  void SetUp() override {
    if (GetParam() != Hold::kFreezer) return;
    const auto files = real_files();
    if (const auto can = JobGroup::can_freeze(*files); !can) GTEST_SKIP() << can.error().text();
  }
  Result<std::unique_ptr<ProgramTree>> start(const Spec& spec) {
    return ProgramTree::start(spec, folder_ / "work", folder_ / "out", {.hold = GetParam()});
  }
  bool ends(ProgramTree& tree) {
    return eventually([&] { return tree.ended().has_value(); });
  }
  /// Turns that the counting program has made.
  long counted() const { return static_cast<long>(folder_.read("count").size()); }

  Folder folder_;
};

TEST_P(ProgramTrees, TellHowTheProgramEnded) {
  for (const auto& [script, code] : {std::pair{"exit 0", 0}, {"exit 7", 7}, {"kill -TERM $$", 128 + SIGTERM}}) {
    auto tree = start(shell(script));
    ASSERT_TRUE(tree) << tree.error().text();
    ASSERT_TRUE(ends(**tree));
    EXPECT_EQ((*tree)->ended(), code) << script;
  }
}

TEST_P(ProgramTrees, KeepWhatWasPrintedBeforeAndAppend) {
  for (const char* word : {"one", "two"}) {
    auto tree = start(shell(std::string("echo ") + word + "; echo err >&2"));
    ASSERT_TRUE(tree) << tree.error().text();
    ASSERT_TRUE(ends(**tree));
  }
  EXPECT_EQ(folder_.read("out"), "one\nerr\ntwo\nerr\n");
}

TEST_P(ProgramTrees, RunInTheJobsFolderWithItsEnvironmentAndNothingOfOurs) {
  Spec spec = shell("pwd; echo $GREETING; ls -l /proc/self/fd | grep -c -e '->'; cat /proc/self/status | grep -e NoNewPrivs; cat; nice");
  spec.environment["GREETING"] = "hello";
  auto tree = start(spec);
  ASSERT_TRUE(tree) << tree.error().text();
  ASSERT_TRUE(ends(**tree));
  // Three standard ones and the folder that ls reads.
  EXPECT_EQ(folder_.read("out"), folder_ / "work" + "\nhello\n4\nNoNewPrivs:\t1\n19\n");
}

TEST_P(ProgramTrees, RunWithoutRootsRights) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: other users' jobs run as they do";
  auto tree = start(shell("id -u; touch made; head -c1 /etc/shadow"));
  ASSERT_TRUE(tree) << tree.error().text();
  ASSERT_TRUE(ends(**tree));
  EXPECT_NE((*tree)->ended(), 0);
  const auto user = current_job_user();
  ASSERT_TRUE(user && *user);
  EXPECT_TRUE(folder_.read("out").starts_with(std::to_string((*user)->uid) + "\n")) << folder_.read("out");
  EXPECT_TRUE(std::filesystem::exists(folder_ / "work/made"));
}

TEST_P(ProgramTrees, SayWhatCouldNotBeStarted) {
  const auto missing = start(Spec{.command = {"/no/such/program"}});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Errc::kNotFound);
  std::ofstream(folder_ / "text") << "#!/no/such/interpreter\n";
  ::chmod((folder_ / "text").c_str(), 0755);
  const auto script = start(Spec{.command = {folder_ / "text"}});
  ASSERT_FALSE(script);
  EXPECT_NE(script.error().what.find("/text"), std::string::npos) << script.error().text();
  const auto nowhere = start(Spec{.command = {"true"}, .folder = "/no/such/folder"});
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().code, Errc::kNotFound);
  EXPECT_NE(nowhere.error().what.find("/no/such/folder"), std::string::npos);
}

TEST_P(ProgramTrees, FindARelativeProgramWhereItRuns) {
  std::ofstream(folder_ / "train") << "#!/bin/sh\necho trained\n";
  ::chmod((folder_ / "train").c_str(), 0755);
  Spec spec{.command = {"./train"}};
  spec.folder = folder_ / "";
  auto tree = start(spec);
  ASSERT_TRUE(tree) << tree.error().text();
  ASSERT_TRUE(ends(**tree));
  EXPECT_EQ(folder_.read("out"), "trained\n");
}

TEST_P(ProgramTrees, DoNothingWhileTheyAreHeld) {
  // It has a child in a session of its own that counts, and itself counts; both must stop.
  auto tree = start(shell("setsid sh -c 'while :; do echo -n x >> ../count; done' & while :; do echo -n y >> ../count; done"));
  ASSERT_TRUE(tree) << tree.error().text();
  for (int round = 0; round < 3; ++round) {
    const long before = counted();
    ASSERT_TRUE(eventually([&] { return counted() > before; }));
    const auto held = (*tree)->hold();
    ASSERT_TRUE(held) << held.error().text();
    const long seen = counted();
    // Nothing proves that it does not run but that it has not, for as long as it took for hundreds of turns before.
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    EXPECT_EQ(counted(), seen);
    ASSERT_TRUE((*tree)->let());
  }
}

TEST_P(ProgramTrees, EndWithAllThatTheyStartedHeldOrNot) {
  for (const bool hold : {false, true}) {
    auto tree =
        start(shell("echo $$ > ../parent; setsid sh -c 'trap \"\" TERM; (echo $$ > ../stray; while :; do sleep 1000; done) & wait' & "
                    "trap '' TERM; while :; do sleep 1000; done"));
    ASSERT_TRUE(tree) << tree.error().text();
    ASSERT_TRUE(eventually([&] { return folder_.number("parent") > 0 && folder_.number("stray") > 0; }));
    const int parent = folder_.number("parent"), stray = folder_.number("stray");
    if (hold) {
      ASSERT_TRUE((*tree)->hold());
    }
    (*tree)->stop(Seconds(0.01));
    EXPECT_EQ((*tree)->ended(), 128 + SIGKILL);
    EXPECT_FALSE(lives(parent));
    EXPECT_FALSE(lives(stray));
    std::filesystem::remove(folder_ / "parent");
    std::filesystem::remove(folder_ / "stray");
  }
}

TEST_P(ProgramTrees, LeaveNoDaemonBehindWhenTheProgramEndsByItself) {
  auto tree = start(shell("(setsid sh -c 'echo $$ > ../daemon; exec sleep 1000' &) ; while [ ! -s ../daemon ]; do :; done; exit 3"));
  ASSERT_TRUE(tree) << tree.error().text();
  ASSERT_TRUE(ends(**tree));
  EXPECT_EQ((*tree)->ended(), 3);
  ASSERT_GT(folder_.number("daemon"), 0);
  EXPECT_FALSE(lives(folder_.number("daemon")));
}

TEST_P(ProgramTrees, MayEndInTheirOwnWayOnSigterm) {
  auto tree = start(shell("trap 'echo saved; exit 5' TERM; echo $$ > ../pid; while :; do sleep 0.01; done"));
  ASSERT_TRUE(tree) << tree.error().text();
  ASSERT_TRUE(eventually([&] { return folder_.number("pid") > 0; }));
  ASSERT_TRUE((*tree)->hold());
  (*tree)->stop(Seconds(20));
  EXPECT_EQ((*tree)->ended(), 5);
  EXPECT_TRUE(folder_.read("out").ends_with("saved\n")) << folder_.read("out");
}

// The server is killed: here a child of the test, which has the job.
TEST_P(ProgramTrees, DieWithUsHeldOrNot) {
  for (const bool hold : {false, true}) {
    std::filesystem::remove(folder_ / "pid");
    std::filesystem::remove(folder_ / "held");
    const pid_t server = ::fork();
    ASSERT_GE(server, 0);
    if (server == 0) {
      auto tree = start(shell("setsid sleep 1000 & echo $! > ../child; echo $$ > ../pid; sleep 1000"));
      if (!tree || !eventually([&] { return folder_.number("pid") > 0; })) ::_exit(1);
      if (hold && !(*tree)->hold()) ::_exit(1);
      std::ofstream(folder_ / "held") << "1\n";
      for (;;) ::pause();
    }
    ASSERT_TRUE(eventually([&] { return folder_.number("held") > 0; }));
    ::kill(server, SIGKILL);
    ::waitpid(server, nullptr, 0);
    EXPECT_TRUE(eventually([&] { return !lives(folder_.number("pid")) && !lives(folder_.number("child")); }));
  }
}

TEST_P(ProgramTrees, SurviveThatSomebodyKillsTheirSupervisor) {
  auto tree = start(shell("echo $PPID > ../supervisor; echo $$ > ../pid; sleep 1000"));
  ASSERT_TRUE(tree) << tree.error().text();
  ASSERT_TRUE(eventually([&] { return folder_.number("pid") > 0; }));
  ASSERT_TRUE((*tree)->hold());
  ::kill(folder_.number("supervisor"), SIGKILL);
  ASSERT_TRUE(ends(**tree));
  EXPECT_EQ((*tree)->ended(), 128 + SIGKILL);
  EXPECT_TRUE(eventually([&] { return !lives(folder_.number("pid")); }));
}

TEST_P(ProgramTrees, LimitMemory) {
  Spec spec = shell("exec /usr/bin/python3 -c 'x = bytearray(400_000_000); x[::4096] = bytes(len(x[::4096])); print(len(x))'");
  spec.memory_bytes = 1e8;
  auto tree = start(spec);
  ASSERT_TRUE(tree) << tree.error().text();
  ASSERT_TRUE(ends(**tree));
  EXPECT_NE((*tree)->ended(), 0) << (*tree)->limits();
  EXPECT_EQ(folder_.read("out").find("400000000"), std::string::npos);
}

std::string name_of(const ::testing::TestParamInfo<Hold>& tested) { return tested.param == Hold::kFreezer ? "ByTheFreezer" : "BySignals"; }
INSTANTIATE_TEST_SUITE_P(Held, ProgramTrees, ::testing::Values(Hold::kFreezer, Hold::kSignals), name_of);

}  // namespace
}  // namespace polythrottle::job
