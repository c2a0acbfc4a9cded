// The step protocol against real programs: ours in C++ and Python, and such that break it.

#include <gtest/gtest.h>

#include <stdexcept>

#include "job/job.h"
#include "job/live_program.h"

namespace polythrottle::job {
namespace {

constexpr Seconds kPatience{30.0};  ///< never waited for where the code is right

/// Not the one of PATH, which may be in a folder of root's alone.
constexpr const char* kPython = "/usr/bin/python3";

const KindDriver& step_kind() { return **find_kind("step"); }

/// A Python program whose first lines connect: `say(text)` sends a line, `hear()` waits for one.
std::string bare(const std::string& script) {
  return "import os, socket, sys, time\n"
         "s = socket.socket(socket.AF_UNIX)\n"
         "s.connect(os.environ['POLYTHROTTLE_STEP_SOCKET'])\n"
         "f = s.makefile()\n"
         "def say(t): s.sendall((t + '\\n').encode())\n"
         "def hear(): return f.readline()\n"
         "hello = '{\"protocol\":1,\"items\":4,\"pieces\":[4,2],\"steps\":2}'\n" +
         script;
}

class StepJobs : public ::testing::Test {
 protected:
  void start(std::vector<std::string> command) {
    Spec spec{.command = std::move(command)};
    spec.environment["PYTHONPATH"] = POLYTHROTTLE_SOURCE_DIR "/python";
    spec.environment["PYTHONDONTWRITEBYTECODE"] = "1";
    auto job = step_kind().start(spec, folder_ / "work", folder_ / "out");
    if (!job) throw std::runtime_error(job.error().text());  // ends the test
    job_ = std::move(*job);
  }
  void start_python(const std::string& script) { start({kPython, "-c", script}); }

  /// The next offer; fails the test without one.
  Offer offer() {
    const auto next = job_->next(kPatience);
    EXPECT_TRUE(next) << next.error().text() << folder_.read("out");
    EXPECT_TRUE(next && *next) << folder_.read("out");
    return next && *next ? **next : Offer{};
  }
  void run(int items) {
    const auto took = job_->run(items, kPatience);
    EXPECT_TRUE(took) << took.error().text() << folder_.read("out");
    if (took) {
      EXPECT_GE(took->count(), 0.0);
    }
  }
  void expect_end(int code) {
    const auto next = job_->next(kPatience);
    ASSERT_TRUE(next) << next.error().text();
    EXPECT_FALSE(*next);
    EXPECT_EQ(job_->ended(), code) << folder_.read("out");
  }

  Folder folder_;
  std::unique_ptr<Job> job_;
};

TEST_F(StepJobs, RunStepsInWholeAndInPieces) {
  start_python(
      "import polythrottle_step\n"
      "with polythrottle_step.Steps(items=8, pieces=[8, 4, 2], steps=2, cost=dict(macs=5, weights=6, activations=7, kernels=8)) as steps:\n"
      "    print(steps.governed, flush=True)\n"
      "    for _ in range(2):\n"
      "        for items, last in steps.step(): print(items, last, flush=True)\n"
      "print('saved')\n");
  const Offer first = offer();
  EXPECT_EQ(first.items, 8);
  EXPECT_EQ(first.pieces, (std::vector<int>{8, 4, 2}));
  EXPECT_EQ(first.steps, 2);
  EXPECT_FALSE(first.open_ended);
  ASSERT_TRUE(first.cost);
  EXPECT_EQ(first.cost->activations, 7.0);
  // It has not been let yet.
  EXPECT_EQ(folder_.read("out"), "True\n");
  run(4);
  EXPECT_EQ(offer().steps, 2);
  const auto too_much = job_->run(8, kPatience);
  ASSERT_FALSE(too_much);
  EXPECT_EQ(too_much.error().code, Errc::kInvalid);
  run(4);
  EXPECT_EQ(offer().steps, 1);
  run(8);
  expect_end(0);
  EXPECT_EQ(folder_.read("out"), "True\n4 False\n4 True\n8 True\nsaved\n");
}

TEST_F(StepJobs, MayBeWrittenInCpp) {
  start({POLYTHROTTLE_BINARY_DIR "/bin/step_job", "6", "3"});
  EXPECT_EQ(offer().pieces, (std::vector<int>{6, 3, 1}));
  run(3);
  EXPECT_EQ(offer().steps, 2);
  run(1);
  (void)offer();
  run(1);
  (void)offer();
  run(1);
  EXPECT_EQ(offer().steps, 1);
  run(6);
  expect_end(0);
  EXPECT_EQ(folder_.read("out"), "governed\n3\n1\n1\n1\n6\nsaved\n");
}

TEST_F(StepJobs, RunFreelyWithoutAServer) {
  ::unsetenv("POLYTHROTTLE_STEP_SOCKET");
  for (const std::string& command :
       {std::string(POLYTHROTTLE_BINARY_DIR "/bin/step_job 6 3"),
        std::string("PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=" POLYTHROTTLE_SOURCE_DIR "/python python3 -c 'import polythrottle_step\n"
                    "with polythrottle_step.Steps(6) as s:\n  print(\"free\" if not s.governed else \"\")\n"
                    "  for _ in range(2):\n    for items, last in s.step(): print(items)\nprint(\"saved\")'")}) {
    ASSERT_EQ(std::system((command + " > " + folder_ / "free").c_str()), 0) << command;
    EXPECT_EQ(folder_.read("free"), "free\n6\n6\nsaved\n") << command;
  }
}

TEST_F(StepJobs, MaySayNothingOfTheirLength) {
  start_python(bare("say('{\"protocol\":1,\"items\":1}'); say('{\"want\":1}'); hear()"));
  EXPECT_TRUE(offer().open_ended);
  // It dies while it may run.
  const auto took = job_->run(1, kPatience);
  ASSERT_FALSE(took);
  EXPECT_EQ(took.error().code, Errc::kIo);
  EXPECT_EQ(job_->ended(), 0);
}

TEST_F(StepJobs, MayBeSeveralProgramsOneAfterTheOther) {
  const std::string script = bare("say(hello); say('{\"want\":4}'); hear(); say('{\"done\":4}'); say('{\"end\":1}')");
  std::ofstream(folder_ / "part.py") << script;
  start({"/bin/sh", "-c", "/usr/bin/python3 ../part.py; /usr/bin/python3 ../part.py; exit 3"});
  for (int part = 0; part < 2; ++part) {
    EXPECT_EQ(offer().steps, 2);
    run(4);
  }
  expect_end(3);
}

TEST_F(StepJobs, ThatNeverReportAreStoppedWithAllTheyStarted) {
  start_python(
      bare("say(hello); say('{\"want\":4}'); hear()\n"
           "os.fork()\n"
           "while True: os.write(os.open('../count', os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666), b'x') and os.closerange(10, 20)"));
  (void)offer();
  const auto took = job_->run(4, Seconds(0.2));
  ASSERT_FALSE(took);
  EXPECT_EQ(took.error().code, Errc::kTimeout);
  const auto size = folder_.read("count").size();
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  EXPECT_EQ(folder_.read("count").size(), size);
  const auto again = job_->next(kPatience);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Errc::kTimeout);
}

TEST_F(StepJobs, ThatBreakTheProtocolAreStoppedAndToldWhy) {
  for (const std::string& script :
       {std::string("say('Epoch 1/3: loss 0.5')"), std::string("say('{\"want\":4}')"), std::string("say(hello); say('{\"want\":3}')"),
        std::string("say(hello); say('{\"done\":4}')"), std::string("say(hello); say('{\"want\":400}')"),
        std::string("s.sendall(b'x' * 100000)"), std::string("s.sendall(bytes(range(256)) * 10)")}) {
    start_python(bare(script + "\nopen('../told', 'w').write(hear())"));
    const auto next = job_->next(kPatience);
    ASSERT_FALSE(next) << script;
    EXPECT_EQ(next.error().code, Errc::kCorrupt) << script;
    EXPECT_EQ(next.error().what.find('\n'), std::string::npos);
    const auto again = job_->run(1, kPatience);
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code, Errc::kCorrupt);
    job_.reset();
  }
}

TEST_F(StepJobs, ThatReportSomethingElseAreStopped) {
  for (const char* report : {R"({"done":2})", R"({"want":4})", "loss 0.5", R"({"end":true})"}) {
    start_python(bare(std::string("say(hello); say('{\"want\":4}'); hear(); say('") + report + "'); time.sleep(1000)"));
    (void)offer();
    const auto took = job_->run(4, kPatience);
    ASSERT_FALSE(took) << report;
    EXPECT_EQ(took.error().code, Errc::kCorrupt) << report;
  }
}

TEST_F(StepJobs, ThatHangUpInTheMiddleOfAStepAreStopped) {
  start_python(bare("say(hello); say('{\"want\":4}'); hear(); f.close(); s.close(); time.sleep(1000)"));
  (void)offer();
  const auto took = job_->run(4, kPatience);
  ASSERT_FALSE(took);
  EXPECT_EQ(took.error().code, Errc::kIo);
}

TEST_F(StepJobs, ThatNeverConnectAreNamed) {
  start({"sleep", "1000"});
  const auto next = job_->next(Seconds(0.05));
  ASSERT_FALSE(next);
  EXPECT_EQ(next.error().code, Errc::kTimeout);
  EXPECT_NE(next.error().what.find("POLYTHROTTLE_STEP_SOCKET"), std::string::npos);
  // Asked again, it may still come.
  EXPECT_EQ(job_->next(Seconds(0)).error().code, Errc::kTimeout);
}

TEST_F(StepJobs, TurnASecondProcessAway) {
  start_python(
      bare("say(hello)\n"
           "import polythrottle_step\n"
           "try:\n"
           "    polythrottle_step.Steps(4).wait(4)\n"
           "except polythrottle_step.StepError as e: print(e, flush=True)\n"
           "say('{\"want\":4}'); hear(); say('{\"done\":4}')"));
  (void)offer();
  run(4);
  expect_end(0);
  EXPECT_NE(folder_.read("out").find("another process"), std::string::npos) << folder_.read("out");
}

TEST_F(StepJobs, LeaveNoSocketBehind) {
  start_python("import os; print(os.environ['POLYTHROTTLE_STEP_SOCKET'])");
  expect_end(0);
  std::string path = folder_.read("out");
  path.pop_back();
  job_.reset();
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_FALSE(std::filesystem::exists(std::filesystem::path(path).parent_path()));
}

TEST_F(StepJobs, AreWrittenInOtherPlacesTheSameWay) {
  Offer want{.items = 4, .pieces = {4, 2}, .steps = 2};
  start_python(
      bare("for part in ('{\"proto', 'col\":1,\"items\":4,\"pieces\":[4,2],\"steps\":2}\\n{\"want', '\":4}\\n'):\n"
           "    s.sendall(part.encode())\n"
           "hear()"));
  EXPECT_EQ(offer().pieces, want.pieces);
}

}  // namespace
}  // namespace polythrottle::job
