#include "host/launcher.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "host/fake.h"

namespace polythrottle {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr Seconds kLong{20};  ///< nothing here takes so long; it only bounds a failure

/// Is there such a process, and is it more than a zombie that nobody has waited for?
bool runs(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(file, text);
  const auto bracket = text.rfind(')');
  return bracket != std::string::npos && text.substr(bracket + 2, 1) != "Z";
}

class RealLauncher : public ::testing::Test {
 protected:
  std::unique_ptr<Process> shell(const std::string& script, std::map<std::string, std::string> environment = {}) {
    auto started = launcher->start({{"sh", "-c", script}, std::move(environment)});
    EXPECT_TRUE(started.has_value()) << started.error().text();
    return std::move(*started);
  }
  Clock::TimePoint soon() const { return clock->now() + kLong; }
  /// All that it prints until it ends.
  std::vector<std::string> lines(Process& process) {
    std::vector<std::string> out;
    for (const auto until = soon(); clock->now() < until;) {
      if (auto line = process.read_line(until)) {
        out.push_back(std::move(*line));
      } else if (process.ended()) {
        return out;
      }
    }
    ADD_FAILURE() << "it did not end";
    return out;
  }
  std::string line(Process& process) { return process.read_line(soon()).value_or("(no line)"); }

  std::unique_ptr<Clock> clock = real_clock();
  std::unique_ptr<Launcher> launcher = real_launcher(*clock);
};

TEST_F(RealLauncher, ReadsLinesUpToTheEnd) {
  const auto process = shell("echo one; echo; echo problem >&2; printf 'no line end'; exit 7");
  EXPECT_THAT(lines(*process), ElementsAre("one", "", "no line end"));
  ASSERT_TRUE(process->ended().has_value());
  EXPECT_EQ(process->ended()->code, 7);
  EXPECT_EQ(process->ended()->signal, 0);
  EXPECT_THAT(process->tail(), HasSubstr("problem\n"));
}

TEST_F(RealLauncher, SeesAnEndThoughWhoStartedUsDidNotCare) {
  const auto before = ::signal(SIGCHLD, SIG_IGN);
  launcher = real_launcher(*clock);
  const auto process = shell("exit 7");
  EXPECT_THAT(lines(*process), IsEmpty());
  EXPECT_EQ(process->ended().value_or(Exit{}).code, 7);
  ::signal(SIGCHLD, before);
}

TEST_F(RealLauncher, HandsOverWordsAsTheyAre) {
  auto started = launcher->start({{"printf", "%s|", "a b", "$HOME", "*", ""}, {}});
  ASSERT_TRUE(started.has_value());
  EXPECT_THAT(lines(**started), ElementsAre("a b|$HOME|*||"));
}

TEST_F(RealLauncher, SaysWhyAProgramCannotBeStarted) {
  const ScratchFolder scratch;
  const std::string path = (scratch.path() / "text").string();
  EXPECT_EQ(launcher->check("no-such-program-anywhere").error().code, Errc::kNotFound);
  EXPECT_THAT(launcher->check("no-such-program-anywhere").error().text(), HasSubstr("PATH"));
  EXPECT_EQ(launcher->check(path).error().code, Errc::kNotFound);
  EXPECT_EQ(launcher->check(scratch.path().string()).error().code, Errc::kPermission);
  std::ofstream(path) << "echo no first line\n";
  EXPECT_EQ(launcher->check(path).error().code, Errc::kPermission);
  ::chmod(path.c_str(), 0755);
  EXPECT_TRUE(launcher->check(path).has_value());
  const auto started = launcher->start({{path}, {}});
  ASSERT_FALSE(started.has_value());
  EXPECT_THAT(started.error().text(), HasSubstr("#!"));
  EXPECT_EQ(launcher->start({{}, {}}).error().code, Errc::kNotFound);
}

TEST_F(RealLauncher, LeavesNothingOfOursInTheChild) {
  const ScratchFolder scratch;
  const std::string path = (scratch.path() / "ours").string();
  const int ours = ::open(path.c_str(), O_RDWR | O_CREAT, 0600);  // without O_CLOEXEC on purpose
  ASSERT_GE(ours, 0);
  sigset_t blocked, before;
  sigemptyset(&blocked);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) sigaddset(&blocked, number);
  ::pthread_sigmask(SIG_BLOCK, &blocked, &before);
  const auto old = ::signal(SIGPIPE, SIG_IGN);
  ::setenv("POLYTHROTTLE_TEST", "old", 1);
  const auto process = shell(
      "grep -E 'Sig(Blk|Ign)' /proc/self/status; ls -l /proc/self/fd; echo \"$POLYTHROTTLE_TEST\"; cat; "
      "test \"$(cut -d' ' -f5 /proc/$$/stat)\" = $$ && echo leader",
      {{"POLYTHROTTLE_TEST", "new"}});
  const auto printed = lines(*process);
  ::signal(SIGPIPE, old);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::close(ours);
  ::unsetenv("POLYTHROTTLE_TEST");
  ASSERT_GE(printed.size(), 4u);
  EXPECT_THAT(printed[0], EndsWith("\t0000000000000000"));
  EXPECT_THAT(printed[1], EndsWith("\t0000000000000000"));
  EXPECT_THAT(printed, Not(::testing::Contains(HasSubstr(path))));
  EXPECT_THAT(printed, ::testing::Contains("new"));
  EXPECT_EQ(printed.back(), "leader");  // and `cat` found nothing to read
}

TEST_F(RealLauncher, CutsALineThatNeverEnds) {
  const auto process = shell("head -c 300000 /dev/zero | tr '\\0' x; echo; printf 'a\\000b\\377\\n'");
  const auto printed = lines(*process);
  ASSERT_EQ(printed.size(), 2u);
  EXPECT_EQ(printed[0], std::string(Process::kLongestLine, 'x'));
  EXPECT_EQ(printed[1], std::string("a\0b\xff", 4));
  EXPECT_EQ(process->tail().size(), Process::kTail);
}

TEST_F(RealLauncher, ADeadlineThatHasPassedTakesWhatIsThere) {
  const auto process = shell("echo here; exec sleep 1000");
  EXPECT_EQ(line(*process), "here");
  EXPECT_FALSE(process->read_line(clock->now()).has_value());
  EXPECT_FALSE(process->read_line(clock->now() + Seconds(0.01)).has_value());
  EXPECT_FALSE(process->ended().has_value());
}

TEST_F(RealLauncher, NoticesAnEndThatLeavesTheOutputOpen) {
  const auto process = shell("sleep 1000 & echo $!; exit 5");
  const pid_t left = std::stoi(line(*process));
  std::optional<Exit> exit;
  for (const auto until = soon(); !exit && clock->now() < until;) {
    EXPECT_FALSE(process->read_line(clock->now() + Seconds(0.01)).has_value());
    exit = process->ended();
  }
  ASSERT_TRUE(exit.has_value());
  EXPECT_EQ(exit->code, 5);
  EXPECT_FALSE(runs(left));
}

TEST_F(RealLauncher, AnOutputClosedByALivingProgramIsNoEnd) {
  const auto process = shell("echo here; exec >/dev/null 2>/dev/null; exec sleep 1000");
  EXPECT_EQ(line(*process), "here");
  EXPECT_FALSE(process->read_line(clock->now() + Seconds(0.05)).has_value());
  EXPECT_FALSE(process->ended().has_value());
}

TEST_F(RealLauncher, StopLetsAProgramSayGoodbye) {
  const auto process = shell("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done");
  EXPECT_EQ(line(*process), "ready");
  process->stop(kLong);
  EXPECT_THAT(process->tail(), HasSubstr("bye"));
}

TEST_F(RealLauncher, StopEndsTheWholeGroupWhateverItIgnores) {
  const auto process = shell("trap '' TERM; sleep 1000 & echo $!; echo $$; while :; do sleep 1000; done");
  const pid_t child = std::stoi(line(*process)), leader = std::stoi(line(*process));
  EXPECT_TRUE(runs(child));
  process->stop(Seconds(0.01));
  EXPECT_FALSE(runs(child));
  EXPECT_FALSE(runs(leader));
  process->stop(Seconds(0.01));
}

TEST_F(RealLauncher, CountsTheCpuTimeOfTheGroup) {
  const std::string count = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; ";
  const Seconds none = launcher->cpu_time();
  EXPECT_EQ(none, Seconds(0));
  const auto process = shell(count + "echo one; (" + count + "echo two; exec sleep 1000)");
  EXPECT_EQ(line(*process), "one");
  const Seconds one = launcher->cpu_time();
  EXPECT_GT(one, Seconds(0.001));
  EXPECT_EQ(line(*process), "two");
  // The same again, in a child. It may not be found at once.
  Seconds two = launcher->cpu_time();
  for (const auto until = soon(); two < 1.3 * one && clock->now() < until;) two = launcher->cpu_time();
  EXPECT_GE(two, 1.3 * one);
  process->stop(Seconds(0));
  EXPECT_GE(launcher->cpu_time(), two);
  EXPECT_LT(launcher->cpu_time(), 3.0 * two);
}

TEST_F(RealLauncher, NothingOutlivesUsHoweverWeEnd) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t tuner = ::fork();
  if (tuner == 0) {
    const auto process = shell("trap '' TERM; sleep 1000 & echo $! $$; while :; do sleep 1000; done");
    const std::string pids = line(*process) + "\n";
    (void)!::write(ends[1], pids.data(), pids.size());
    ::kill(::getpid(), SIGKILL);
  }
  ::close(ends[1]);
  char text[64] = {};
  ASSERT_GT(::read(ends[0], text, sizeof text - 1), 0);
  ::close(ends[0]);
  ::waitpid(tuner, nullptr, 0);
  std::istringstream words(text);
  pid_t child = 0, leader = 0;
  words >> child >> leader;
  ASSERT_GT(child, 0);
  ASSERT_GT(leader, 0);
  const auto until = soon();
  while ((runs(child) || runs(leader)) && clock->now() < until) clock->sleep_until(clock->now() + Seconds(0.001));
  EXPECT_FALSE(runs(child));
  EXPECT_FALSE(runs(leader));
}

TEST_F(RealLauncher, TalksToAProgramThatListens) {
  Program program{.words = {"sh", "-c", "while read -r told; do echo \"heard $told\"; done; echo over"}, .input = Input::kTalk};
  auto process = *launcher->start(program);
  ASSERT_TRUE(process->say("one two"));
  EXPECT_EQ(line(*process), "heard one two");
  ASSERT_TRUE(process->say("three"));
  EXPECT_EQ(line(*process), "heard three");
}

TEST_F(RealLauncher, HearsAllThatIsPrintedAndCanMakeOneStreamOfIt) {
  std::string heard;
  Program program{.words = {"sh", "-c", "echo out; echo err >&2; echo more"}};
  program.heard = [&](std::string_view text) { heard += text; };
  auto apart = launcher->start(program).value();
  EXPECT_THAT(lines(*apart), ElementsAre("out", "more"));
  EXPECT_EQ(heard.size(), std::string_view("out\nerr\nmore\n").size());  // in the order we read them
  heard.clear();
  program.one_stream = true;
  auto together = launcher->start(program).value();
  EXPECT_THAT(lines(*together), ElementsAre("out", "err", "more"));
  EXPECT_EQ(heard, "out\nerr\nmore\n");
  EXPECT_EQ(together->ended().value().code, 0);
}

TEST_F(RealLauncher, SaysThatAProgramDoesNotListen) {
  auto deaf = shell("exec sleep 60");
  EXPECT_EQ(deaf->say("x").error().code, Errc::kInvalid);
  auto closed = *launcher->start(Program{.words = {"sh", "-c", "exec <&-; echo closed; exec sleep 60"}, .input = Input::kTalk});
  EXPECT_EQ(line(*closed), "closed");
  EXPECT_EQ(closed->say("x").error().code, Errc::kIo);  // and no SIGPIPE
  auto idle = *launcher->start(Program{.words = {"sleep", "60"}, .input = Input::kTalk});
  Status told;
  const std::string text(4000, 'x');
  for (int i = 0; told && i < 1000; ++i) told = idle->say(text);
  ASSERT_FALSE(told);
  EXPECT_EQ(told.error().code, Errc::kBusy);
}

TEST_F(RealLauncher, WaitsForTheEnd) {
  auto process = *launcher->start(Program{.words = {"sh", "-c", "read -r line; exit 7"}, .input = Input::kTalk});
  EXPECT_FALSE(process->wait(clock->now() + Seconds(0.01)).has_value());
  ASSERT_TRUE(process->say("go"));
  EXPECT_TRUE(process->wait(soon()).has_value());
  ASSERT_TRUE(process->ended().has_value());
  EXPECT_EQ(process->ended()->code, 7);
}

TEST_F(RealLauncher, SeesAProgramThatWantsTheTerminal) {
  auto process = shell("kill -TTIN $$; sleep 60");
  for (const auto until = soon(); !process->wants_terminal() && clock->now() < until;) process->wait(clock->now() + Seconds(0.01));
  EXPECT_TRUE(process->wants_terminal());
  EXPECT_FALSE(shell("exec sleep 60")->wants_terminal());
}

TEST_F(RealLauncher, DropsOutputThatNobodyWants) {
  auto process = *launcher->start(Program{.words = {"sh", "-c", "seq 100000; exit 3"}, .output = Output::kDropped});
  ASSERT_TRUE(process->wait(soon()).has_value());
  EXPECT_EQ(process->ended()->code, 3);
  EXPECT_THAT(process->tail(), IsEmpty());
}

}  // namespace
}  // namespace polythrottle
