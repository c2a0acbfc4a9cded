// kill -9 of the tuner, of the watchdog and of both, and errors of writes, at every place of a run on every recorded machine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "crash/family.h"
#include "crash/matrix.h"
#include "crash/scratch_machine.h"

namespace polythrottle::crash {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kAtATime = 4;  // they mostly wait: a sixth of a CPU each

struct Job {
  std::string fixture;
  Choice choice;
};

std::vector<std::string> fixtures() {
  std::vector<std::string> out;
  for (const auto& entry : fs::directory_iterator(std::string(POLYTHROTTLE_SOURCE_DIR) + "/tests/fixtures")) {
    if (fs::exists(entry.path() / "sys")) out.push_back(entry.path().string());
  }
  // Those with the most files take longest, and so come first.
  const auto files = [](const std::string& root) { return std::distance(fs::recursive_directory_iterator(root), {}); };
  std::sort(out.begin(), out.end(), [&](const auto& a, const auto& b) { return std::pair(files(a), a) > std::pair(files(b), b); });
  return out;
}

/// POLYTHROTTLE_CRASH_MATRIX: "full" (everything on every machine), a number (every so many places there), or the name of one machine (all
/// of that one). Not set: a sample that ends within a minute where the machine is not busy.
std::vector<Job> jobs() {
  const char* set = std::getenv("POLYTHROTTLE_CRASH_MATRIX");
  const std::string wish = set == nullptr ? "" : set;
  const int every = std::atoi(wish.c_str());
  std::vector<Job> out;
  for (const auto& fixture : fixtures()) {
    const std::string name = fs::path(fixture).filename().string();
    if (wish == "full" || wish == name) out.push_back({fixture, {}});
    if (every > 0) out.push_back({fixture, {.every = every}});
    if (!wish.empty()) continue;
    if (name == "arm64-cpufreq-table") out.push_back({fixture, {.kinds = {kBothKilled, kWriteFails, kWritesFail}}});
    if (name == "jetson-tx2-jp46") out.push_back({fixture, {.kinds = {kTunerKilled, kBothKilled}, .every = 4}});
    if (name == "jetson-agx-orin-jp5") out.push_back({fixture, {.kinds = {kBothKilled, kRestoreKilled, kRestoreFails}, .every = 5}});
    if (name == "x86-intel_pstate-rapl") out.push_back({fixture, {.kinds = {kTunerKilled, kWatchdogKilled}, .every = 5}});
  }
  return out;
}

/// Each job in a process of its own, for each must be the parent of what its runs leave behind.
std::vector<Tally> run(const std::vector<Job>& all, const fs::path& folder) {
  std::map<pid_t, std::size_t> running;
  std::vector<Tally> out(all.size());
  for (std::size_t next = 0; next < all.size() || !running.empty();) {
    while (next < all.size() && running.size() < kAtATime) {
      const fs::path own = folder / std::to_string(next);
      const pid_t pid = ::fork();
      if (pid == 0) {
        adopt_orphans();
        const Tally tally = run_matrix(all[next].fixture, own.string(), all[next].choice);
        std::ofstream(own / "tally.json") << nlohmann::json(tally);
        ::_exit(0);
      }
      running[pid] = next++;
    }
    int status = 0;
    const pid_t ended = ::wait(&status);
    const std::size_t job = running.at(ended);
    running.erase(ended);
    std::ifstream file(folder / std::to_string(job) / "tally.json");
    const auto json = nlohmann::json::parse(file, nullptr, false);
    if (json.is_discarded()) {
      out[job].failures = {all[job].fixture + ": the tests themselves failed"};
      continue;
    }
    out[job] = json.get<Tally>();
    std::printf("%s", summary(out[job]).c_str());
    std::fflush(stdout);
  }
  return out;
}

TEST(ScratchMachine, SeesEveryDifferenceButTheEndOfALine) {
  const fs::path folder = fs::temp_directory_path() / ("polythrottle-scratch-" + std::to_string(::getpid()));
  fs::create_directories(folder);
  ScratchMachine machine(std::string(POLYTHROTTLE_SOURCE_DIR) + "/tests/fixtures/jetson-tx2-jp46", folder.string());
  EXPECT_THAT(machine.changed(), ::testing::IsEmpty());
  const fs::path root = machine.root();
  std::ofstream(machine.record()) << "ours";
  std::ofstream(root / "sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq") << "2035200";  // found with a line end
  EXPECT_THAT(machine.changed(), ::testing::IsEmpty());

  std::ofstream(root / "sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq") << "345600";
  fs::create_directory(root / "sys/new");
  fs::remove(root / "proc/cpuinfo");
  EXPECT_THAT(machine.changed(),
              ::testing::ElementsAre(::testing::HasSubstr("proc/cpuinfo"),
                                     "sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq: found 2035200, now 345600",
                                     "sys/new: found nothing, now a folder"));
  machine.renew();
  EXPECT_THAT(machine.changed(), ::testing::IsEmpty());
  EXPECT_FALSE(fs::exists(machine.record()));
  fs::remove_all(folder);
}

TEST(Injection, OfNonsenseIsWrongUsageBeforeAnythingElse) {
  adopt_orphans();
  const fs::path folder = fs::temp_directory_path() / ("polythrottle-nonsense-" + std::to_string(::getpid()));
  fs::create_directories(folder);
  const Ended ended = run_family({"restore"}, {{"POLYTHROTTLE_INJECT", "kill:everybody@3"}}, folder.string());
  EXPECT_EQ(ended.exit_code, 2);
  EXPECT_THAT(ended.err, ::testing::StartsWith("polythrottle: POLYTHROTTLE_INJECT: 'kill:everybody@3' is no fault to inject; "));
  EXPECT_EQ(std::count(ended.err.begin(), ended.err.end(), '\n'), 1);
  fs::remove_all(folder);
}

TEST(CrashMatrix, TheMachineIsGivenBackWhereverTheRunIsCut) {
  const fs::path folder = fs::temp_directory_path() / ("polythrottle-crash-" + std::to_string(::getpid()));
  const auto wanted = jobs();
  ASSERT_FALSE(wanted.empty()) << "POLYTHROTTLE_CRASH_MATRIX names no machine of tests/fixtures";
  const auto tallies = run(wanted, folder);
  if (tallies.size() > 1) std::printf("%s", summary(tallies).c_str());
  for (std::size_t i = 0; i < tallies.size(); ++i) {
    const Tally& tally = tallies[i];
    // A machine without knobs has nothing to lose; any other went through all that was asked for.
    if (!tally.knobs.empty()) {
      EXPECT_EQ(tally.rows.size(), wanted[i].choice.kinds.size()) << tally.platform;
    }
    for (const auto& failure : tally.failures) ADD_FAILURE() << failure;
    if (!tally.failures.empty()) std::printf("To repeat it: POLYTHROTTLE_INJECT=... polythrottle%s\n", tally.command.c_str());
    for (const auto& [kind, row] : tally.rows) {
      EXPECT_GT(row.runs, 0) << tally.platform << ", " << kind;
      EXPECT_EQ(row.after_restore, row.runs) << tally.platform << ", " << kind;
      if (kind == kTunerKilled || kind == kWatchdogKilled) {
        EXPECT_EQ(row.by_survivors, row.runs) << tally.platform << ", " << kind;
      }
      // If the machine were whole every time, the watchdog had not been killed, or nothing had been moved.
      if (kind == kBothKilled) {
        EXPECT_LT(row.by_survivors, row.runs) << tally.platform;
      }
    }
  }
  if (!HasFailure()) fs::remove_all(folder);
}

}  // namespace
}  // namespace polythrottle::crash
