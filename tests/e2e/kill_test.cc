// kill -9 at any instant: the study resumes, no finished trial is lost, the one that ran is marked lost.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>

#include "e2e/program.h"
#include "host/host.h"
#include "journal/journal.h"
#include "journal/observed.h"
#include "study/runner.h"
#include "workload/recorded.h"

namespace polythrottle::e2e {
namespace {

/// The study of these tests, in this process. Answers the end, or the error's text.
std::string study(const std::string& path, OpenMode mode, int kill_at) {
  const auto files = real_files();
  const auto clock = real_clock();
  Host host{*files, *clock};
  auto table = read_recorded_table(small_table(), "net").value();
  Device device{.name = "recorded", .host = host, .space = table.space, .reference = table.reference};
  device.energy_provenance = Provenance::kRecorded;
  device.workload = recorded_workload(host, table, Seconds(0));
  auto journal = open_sqlite_journal(path, mode);
  if (!journal) return journal.error().text();
  // Kills this process at that point: one stands before and one after every call that writes.
  const auto point = [left = std::make_shared<int>(kill_at)](const std::string&) {
    if ((*left)-- == 0) kill(getpid(), SIGKILL);
  };
  const auto killing = observed_journal(std::move(*journal), {point, point});
  Plan plan;
  plan.limits.push_back(parse_slo("2x").value());
  plan.budget = 8;
  plan.confirm_rounds = 1;
  const auto optimizer = make_optimizer("grid").value();
  if (const auto described = killing->describe({{"device", "recorded"}}); !described) return described.error().text();
  const auto end = run_study(device, *killing, nullptr, *optimizer, plan, {}, {});
  return end ? to_string(end->reason) : end.error().text();
}

std::vector<Trial> trials_of(const std::string& path) {
  auto journal = open_sqlite_journal(path, OpenMode::kReadOnly);
  return journal ? journal.value()->history().value() : std::vector<Trial>{};
}

std::size_t count(const std::vector<Trial>& trials, TrialState state) {
  return static_cast<std::size_t>(std::count_if(trials.begin(), trials.end(), [&](const Trial& t) { return t.state == state; }));
}

/// All that was finished before is still there, unchanged; nothing runs.
void expect_whole(const std::vector<Trial>& before, const std::vector<Trial>& after) {
  ASSERT_GE(after.size(), before.size());
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (before[i].state == TrialState::kRunning) {
      EXPECT_EQ(after[i].state, TrialState::kLost);
    } else {
      EXPECT_EQ(after[i].state, before[i].state);
      EXPECT_EQ(after[i].metrics(), before[i].metrics());
    }
  }
  EXPECT_EQ(count(after, TrialState::kRunning), 0U);
}

TEST(Kill, AtEveryJournalCallTheStudyResumes) {
  int points = 0, running = 0;
  for (bool survived = false; !survived; ++points) {
    const std::string path = scratch("kill-at.sqlite");
    const pid_t pid = fork();
    if (pid == 0) _exit(study(path, OpenMode::kCreate, points) == "budget" ? 0 : 1);
    int status = 0;
    waitpid(pid, &status, 0);
    survived = WIFEXITED(status);
    if (survived) {
      EXPECT_EQ(WEXITSTATUS(status), 0);
    } else {
      ASSERT_EQ(WTERMSIG(status), SIGKILL);
    }
    const auto before = trials_of(path);
    running += count(before, TrialState::kRunning) > 0 ? 1 : 0;
    ASSERT_EQ(study(path, OpenMode::kResume, -1), "budget") << "killed at point " << points;
    const auto after = trials_of(path);
    expect_whole(before, after);
    // 8 explored and a round of two to confirm. A round that was cut in two is made whole again, so that both sides saw the same minutes.
    EXPECT_GE(count(after, TrialState::kCompleted), 10U) << "killed at point " << points;
    EXPECT_LE(count(after, TrialState::kCompleted), 11U) << "killed at point " << points;
    ASSERT_LT(points, 1000);
  }
  std::printf("killed at each of %d points around journal calls; %d hit a running trial; all resumed\n", points - 1, running);
  EXPECT_GE(points - 1, 2 * (2 * 10 + 1));
  EXPECT_GT(running, 10);
}

TEST(Kill, AtRandomInstantsTheProgramResumes) {
  const std::string device = "recorded:" + small_table() + "#net";
  // An optimizer that uses its budget, so that a run lives as long as the kills are spread.
  const std::string path_of_answer = scratch("answer.json");
  ASSERT_EQ(run({"tune", "--device", device, "--slo", "2x", "--optimizer", "eic", "--seed", "5", "--budget", "10", "--json", path_of_answer,
                 "--quiet"})
                .exit_code,
            0);
  const auto wanted = nlohmann::json::parse(read(path_of_answer));
  std::mt19937 random(20231019);
  int hit_running = 0, killed = 0, unborn = 0;
  for (int i = 0; i < 50; ++i) {
    const std::string path = scratch("kill-random.sqlite");
    const std::vector<std::string> first{"tune", "--device", device, "--slo",  "2x",   "--optimizer", "eic", "--seed",
                                         "5",    "--budget", "10",   "--pace", "0.03", "--study",     path};
    killed += run_and_kill(first, static_cast<int>(random() % 360)) ? 1 : 0;
    const auto before = trials_of(path);
    hit_running += count(before, TrialState::kRunning) > 0 ? 1 : 0;
    // Killed before the study file had its facts: there is nothing to resume, and a new study may take the file.
    auto resumed = run({"tune", "--resume", "--study", path, "--json", "-", "--quiet"});
    if (before.empty() && resumed.exit_code != 0) {
      ++unborn;
      resumed = run({"tune", "--device", device, "--slo", "2x", "--optimizer", "eic", "--seed", "5", "--budget", "10", "--study", path,
                     "--json", "-", "--quiet"});
    }
    ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
    expect_whole(before, trials_of(path));
    const auto got = nlohmann::json::parse(resumed.out);
    EXPECT_EQ(got["best"]["config"], wanted["best"]["config"]);
    EXPECT_EQ(got["stop"]["trials"], wanted["stop"]["trials"]);
  }
  std::printf("50 runs, %d killed while alive, %d of them in a running trial, %d before the study had begun; all resumed\n", killed,
              hit_running, unborn);
  EXPECT_GT(hit_running, 15);
}

TEST(Interrupt, RestoresSaysHowToResumeAndExits130) {
  const std::string path = scratch("interrupt.sqlite");
  const std::string out = scratch("interrupt.err");
  // One signal, as a terminal delivers it: without --foreground timeout sends a second one to the whole group.
  const std::string command = std::string("timeout --foreground --preserve-status -s INT 0.4 ") + POLYTHROTTLE_PROGRAM +
                              " tune --device 'recorded:" + small_table() + "#net' --slo 2x --optimizer grid --pace 0.1 --study " + path +
                              " >/dev/null 2>" + out + "; exit $?";
  const int status = std::system(command.c_str());

  EXPECT_EQ(WEXITSTATUS(status), 130);
  EXPECT_NE(read(out).find("Go on with: polythrottle tune --resume --study " + path), std::string::npos) << read(out);
  const auto trials = trials_of(path);
  EXPECT_EQ(count(trials, TrialState::kRunning), 0U);
  EXPECT_EQ(count(trials, TrialState::kVoid), 1U);
  EXPECT_EQ(run({"tune", "--resume", "--study", path, "--pace", "0", "--quiet"}).exit_code, 0);
}

}  // namespace
}  // namespace polythrottle::e2e
