// Energy of any program. The machine is a recorded one whose counter the measured program itself moves on, so that joules are exact; times
// are those of this machine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "e2e/process.h"
#include "e2e/program.h"

namespace polythrottle::e2e {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
namespace fs = std::filesystem;

/// A machine with two CPU packages that nothing but a test draws energy from.
class Measure : public ::testing::Test {
 protected:
  Measure() {
    fs::remove_all(root_);
    fs::copy(POLYTHROTTLE_SOURCE_DIR "/tests/fixtures/x86-intel_pstate-rapl", root_,
             fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    write(counter_, "1000000\n");
  }
  ~Measure() override { fs::remove_all(root_); }

  /// A shell's words for a program that draws so much (or less than nothing: the counter is reset) and then ends as `more` says.
  std::string draws(long long microjoules, const std::string& more = "") const {
    return "sleep 0.05; read now < " + counter_ + "; echo $((now + " + std::to_string(microjoules) + ")) > " + counter_ + "; " + more;
  }
  Ran measure(std::vector<std::string> flags, const std::vector<std::string>& command) const {
    std::vector<std::string> all{"--sysroot", root_, "measure"};
    all.insert(all.end(), flags.begin(), flags.end());
    if (std::find(flags.begin(), flags.end(), "--meter") == flags.end()) all.insert(all.end(), {"--meter", "rapl"});
    all.emplace_back("--");
    all.insert(all.end(), command.begin(), command.end());
    return run(all);
  }
  Ran measure(std::vector<std::string> flags, const std::string& script) const { return measure(std::move(flags), {"sh", "-c", script}); }

  const std::string root_ = (fs::temp_directory_path() / ("polythrottle-measure-" + std::to_string(getpid()))).string();
  const std::string counter_ = root_ + "/sys/class/powercap/intel-rapl:0/energy_uj";
};

void expect_complaint(const Ran& ran, int exit_code, const std::string& about) {
  EXPECT_EQ(ran.exit_code, exit_code) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr(about));
  EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
}

TEST_F(Measure, SaysWhatAProgramDrew) {
  const std::string file = scratch("measured.json");
  const auto ran = measure({"--runs", "3", "--warm-up", "1", "--per", "50", "--json", file}, draws(1000000, "echo done"));
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_EQ(ran.out, "done\ndone\ndone\ndone\n");  // what the program prints goes where it would go without us, and nothing else does
  EXPECT_THAT(ran.err, HasSubstr("1.000 J"));
  EXPECT_THAT(ran.err, HasSubstr("measured: meter rapl"));
  EXPECT_THAT(ran.err, HasSubstr("Discarded to warm up: 1 run."));
  const json found = json::parse(read(file));
  EXPECT_EQ(found["schema"], 1);
  EXPECT_EQ(found["command"][0], "sh");
  ASSERT_EQ(found["runs"].size(), 3u);
  for (const auto& one : found["runs"]) {
    EXPECT_NEAR(one["energy_joules"].get<double>(), 1.0, 1e-9);
    EXPECT_GE(one["time_seconds"].get<double>(), 0.05);
    EXPECT_EQ(one["exit_code"], 0);
  }
  EXPECT_NEAR(found["energy_joules"]["value"].get<double>(), 1.0, 1e-9);
  EXPECT_LT(found["energy_joules"]["low"].get<double>(), 0.95);  // the gain of the counter is known to 5 %
  EXPECT_GT(found["energy_joules"]["high"].get<double>(), 1.05);
  EXPECT_NEAR(found["energy_joules_per_unit"]["value"].get<double>(), 0.02, 1e-9);
  EXPECT_EQ(found["meter"]["name"], "rapl");
  EXPECT_EQ(found["meter"]["provenance"], "measured");
  EXPECT_GT(found["meter"]["reading_seconds_total"].get<double>(), 0.0);
  EXPECT_EQ(found["discarded"].size(), 1u);
  EXPECT_EQ(found["ended"], "complete");
}

TEST_F(Measure, ComparesTwoPrograms) {
  const auto ran = measure({"--runs", "4", "--vs", "sh -c '" + draws(500000) + "'", "--output", "drop", "--json", "-"}, draws(1000000));
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("B needs 50.0 % less energy than A (measured; 95 %: "));
  const json found = json::parse(ran.out);
  const json& ratio = found["vs"]["ratio"]["energy"];
  EXPECT_NEAR(ratio["value"].get<double>(), 0.5, 1e-9);
  EXPECT_LE(ratio["low"].get<double>(), 0.5);
  EXPECT_GE(ratio["high"].get<double>(), 0.5);
  EXPECT_LT(ratio["high"].get<double>() - ratio["low"].get<double>(), 0.05);  // the gain's 5 % have cancelled
  EXPECT_EQ(found["vs"]["rounds"], 4);
}

TEST_F(Measure, TheExitCodeIsTheCommands) {
  const auto fails = measure({"--runs", "5"}, draws(1000000, "exit 7"));
  EXPECT_EQ(fails.exit_code, 7);
  EXPECT_THAT(fails.err, HasSubstr("Run 1 failed"));
  EXPECT_THAT(fails.err, HasSubstr("1.000 J"));
  EXPECT_THAT(fails.err, HasSubstr("exit code 7; it is in no mean"));
  const auto dies = measure({}, "kill -TERM $$");
  EXPECT_EQ(dies.exit_code, 128 + SIGTERM);
  EXPECT_THAT(dies.err, HasSubstr("killed by signal 15"));
  // It fails at its third run: the two before are shown.
  const std::string marks = scratch("marks");
  const auto later = measure({"--runs", "5"}, draws(1000000, "echo >> " + marks + "; test $(wc -l < " + marks + ") -lt 3"));
  EXPECT_EQ(later.exit_code, 1);
  EXPECT_THAT(later.err, HasSubstr("Run 3 failed"));
  EXPECT_THAT(later.err, HasSubstr("2 of 5"));
}

TEST_F(Measure, WhatCannotBeStartedIsOneLineAndTheCodeOfAShell) {
  expect_complaint(measure({}, std::vector<std::string>{"no-such-program"}), 127, "no such program");
  expect_complaint(measure({}, std::vector<std::string>{"/"}), 126, "it is a folder");
  expect_complaint(measure({"--vs", "no-such-program"}, "true"), 127, "no such program");
}

TEST_F(Measure, WrongUsageIsOneLine) {
  const auto about = [&](std::vector<std::string> flags, const std::string& words) {
    expect_complaint(measure(std::move(flags), "true"), 2, words);
  };
  about({"--runs", "0"}, "--runs 0 measures nothing");
  about({"--runs", "-1"}, "no whole number");
  about({"--per", "0"}, "--per 0");
  about({"--per", "nan"}, "--per nan");
  about({"--vs", ""}, "--vs is empty");
  about({"--vs", "true | false"}, "sh -c");
  about({"--output", "file"}, "--output file");
  about({"--json", "-"}, "--output drop");
  about({"--quiet"}, "--json");
  about({"--meter", "crystal-ball"}, "no meter 'crystal-ball'");
  about({"--power-model", "idle=-1"}, "--power-model idle=-1");
  about({"stray"}, "'stray' is not behind --");
  expect_complaint(run({"measure"}), 2, "there is no command");
  expect_complaint(run({"measure", "--"}), 2, "there is no command");
  expect_complaint(run({"measure", "sleep", "1"}), 2, "is not behind --");
}

TEST_F(Measure, WordsBehindTheMarkAreTheCommandsOwn) {
  const auto ran = measure({"--meter", "estimate"}, {"sh", "-c", "echo \"$@\"", "sh", "--runs", "0", "--", "--help", "probe"});
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_EQ(ran.out, "--runs 0 -- --help probe\n");
}

TEST_F(Measure, OneRunReadsOurInputAndSeveralDoNot) {
  const std::string file = scratch("input");
  write(file, "some words\n");
  // The outer run gives the inner one its input: a shell's redirection, which this test program cannot make.
  std::string program;
  for (const auto& word : program_under_test()) program += word + ' ';
  const auto measured_cat = [&](const std::string& flags) {
    return measure({"--meter", "estimate"}, program + "--sysroot " + root_ + " measure --meter estimate " + flags + " -- cat < " + file);
  };
  EXPECT_EQ(measured_cat("").out, "some words\n");
  const auto several = measured_cat("--runs 2");
  EXPECT_THAT(several.out, IsEmpty());
  EXPECT_THAT(several.err, HasSubstr("several runs cannot share one standard input"));
}

TEST_F(Measure, WithoutAMeterItSaysWhatWouldHelpAndGuessesOnlyWhenAsked) {
  fs::remove_all(root_ + "/sys/class/powercap");
  const auto none = run({"--sysroot", root_, "measure", "--", "true"});
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_THAT(none.out, IsEmpty());
  EXPECT_THAT(none.err, HasSubstr("no meter on this machine"));
  EXPECT_THAT(none.err, HasSubstr("--meter estimate"));
  EXPECT_THAT(none.err, HasSubstr("rapl  absent (not_found)"));
  const auto guess = measure({"--meter", "estimate", "--json", "-", "--output", "drop"}, "true");
  EXPECT_EQ(guess.exit_code, 0) << guess.err;
  EXPECT_THAT(guess.err, HasSubstr("estimated: meter estimate"));
  EXPECT_THAT(guess.err, Not(HasSubstr("measured")));
  EXPECT_EQ(json::parse(guess.out)["meter"]["provenance"], "estimated");
}

TEST_F(Measure, ACounterThatGoesBackIsNoEnergy) {
  // The range of the counter is taken from it: going back is no wrap then.
  write(root_ + "/sys/class/powercap/intel-rapl:0/max_energy_range_uj", "0\n");
  const auto ran = measure({"--runs", "2"}, draws(-1));
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.err, HasSubstr("were void"));
  EXPECT_THAT(ran.err, HasSubstr("Discarded as void: run 1"));
  EXPECT_THAT(ran.err, HasSubstr("it went back from"));
}

TEST_F(Measure, IdleIsShownBeside) {
  const auto ran = measure({"--idle", "0.01", "--meter", "estimate", "--json", "-", "--output", "drop"}, "sleep 0.02");
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("It is not subtracted."));
  EXPECT_GT(json::parse(ran.out)["idle_watts"].get<double>(), 0.0);
}

TEST_F(Measure, AnInterruptEndsTheCommandAndShowsWhatThereIs) {
  const std::string pids = scratch("pid");
  std::vector<std::string> words = program_under_test();
  for (const std::string word : {"--sysroot", root_.c_str(), "measure", "--meter", "rapl", "--runs", "3", "--", "sh", "-c"})
    words.push_back(word);
  words.push_back(draws(1000000, "echo x >> " + pids + "; test $(wc -l < " + pids + ") -lt 2 && exit 0; echo ready; exec sleep 1000"));
  Process program(words);
  EXPECT_EQ(program.line(), "ready");
  const auto children = program.children();
  program.send(SIGINT);
  const std::string said = program.errors();
  EXPECT_EQ(program.wait(), 130);
  EXPECT_THAT(said, HasSubstr("Run 2 was interrupted"));
  EXPECT_THAT(said, HasSubstr("1 of 3"));
  for (const pid_t child : children) EXPECT_NE(kill(child, 0), 0) << child;
}

}  // namespace
}  // namespace polythrottle::e2e
