#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "knob/fake_cgroup.h"
#include "knob/lease.h"

namespace polythrottle {
namespace knob_driver {
extern const KnobDriver cpu_quota;
}
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string group_name() { return "polythrottle-" + std::to_string(::getpid()); }

struct FakeMachine {
  FakeFiles files;
  FakeClock clock;
  Host host{files, clock};
  KnobDiscovery found;
  explicit FakeMachine(int version) { add_fake_cgroups(files, version); }
  Knob& probe() {
    found = knob_driver::cpu_quota.discover(host);
    EXPECT_EQ(found.knobs.size(), 1u) << (found.absent.empty() ? "" : found.absent[0].why.text());
    return *found.knobs.at(0);
  }
  Error absence() {
    found = knob_driver::cpu_quota.discover(host);
    EXPECT_TRUE(found.knobs.empty());
    return found.absent.at(0).why;
  }
};

TEST(CpuQuota, LimitsThroughAGroupOfItsOwnInVersion1) {
  FakeMachine m(1);
  Knob& knob = m.probe();
  EXPECT_THAT(knob.parameter().levels, ElementsAre(Value(0.25), Value(0.5), Value(0.75), Value(1.0)));
  EXPECT_TRUE(m.files.writes.empty());
  EXPECT_EQ(*knob.read(), Value(1.0));
  EXPECT_EQ(*knob.write(0.75), Value(0.75));
  const std::string group = "/sys/fs/cgroup/cpu/" + group_name();
  EXPECT_EQ(m.files.nodes[group + "/cpu.cfs_period_us"], "10000\n");
  EXPECT_EQ(m.files.nodes[group + "/cpu.cfs_quota_us"], "15000\n");
  // The limit stands before the process enters.
  EXPECT_EQ(m.files.writes.back(), std::pair(group + "/cgroup.procs", std::to_string(::getpid())));
  EXPECT_EQ(*knob.write(0.25), Value(0.25));
  EXPECT_EQ(*knob.write(1.0), Value(1.0));
  EXPECT_EQ(m.files.writes.back().first, "/sys/fs/cgroup/cpu/cgroup.procs");
  EXPECT_FALSE(m.files.folders.contains(group));
}

TEST(CpuQuota, LimitsBelowTheRootInVersion2AndGoesBackHome) {
  FakeMachine m(2);
  Knob& knob = m.probe();
  EXPECT_EQ(*knob.write(0.5), Value(0.5));
  EXPECT_EQ(m.files.nodes["/sys/fs/cgroup/" + group_name() + "/cpu.max"], "10000 10000\n");
  m.found.knobs.clear();  // leaving without a word gives the machine back as well
  EXPECT_EQ(m.files.writes.back().first, "/sys/fs/cgroup/session/cgroup.procs");
  EXPECT_FALSE(m.files.folders.contains("/sys/fs/cgroup/" + group_name()));
}

TEST(CpuQuota, TakesTheParentsLimitForTheWhole) {
  FakeMachine m(1);
  m.files.nodes["/sys/fs/cgroup/cpu/cpu.cfs_quota_us"] = "50000\n";  // half a CPU
  EXPECT_EQ(*m.probe().write(0.5), Value(0.5));
  EXPECT_EQ(m.files.nodes["/sys/fs/cgroup/cpu/" + group_name() + "/cpu.cfs_quota_us"], "2500\n");
}

TEST(CpuQuota, SeesThatSomebodyMovedTheProcessOut) {
  FakeMachine m(1);
  Knob& knob = m.probe();
  ASSERT_TRUE(knob.write(0.5));
  m.files.nodes["/proc/self/cgroup"] = "1:cpu:/elsewhere\n";
  EXPECT_EQ(*knob.read(), Value(1.0));
}

TEST(CpuQuota, RefusesWhatIsNoLevelAndWritesNothing) {
  FakeMachine m(1);
  Knob& knob = m.probe();
  for (const Value& wrong : {Value(0.3), Value(0.0), Value(2.0), Value("half")}) {
    const auto refused = knob.write(wrong);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::kOutOfRange);
  }
  EXPECT_TRUE(m.files.writes.empty());
}

TEST(CpuQuota, TellsWhyItIsAbsent) {
  FakeMachine forbidden(1);
  forbidden.files.refuse_write["/sys/fs/cgroup/cpu/cgroup.procs"] = EACCES;
  EXPECT_EQ(forbidden.absence().code, Errc::kPermission);
  FakeMachine held(2);
  held.files.nodes["/sys/fs/cgroup/cgroup.subtree_control"] = "memory pids\n";
  const Error why = held.absence();
  EXPECT_EQ(why.code, Errc::kUnsupported);
  EXPECT_THAT(why.hint, HasSubstr("subtree_control"));
  FakeMachine outside(2);
  outside.files.nodes["/proc/self/cgroup"] = "0::/../other\n";
  EXPECT_EQ(outside.absence().code, Errc::kUnsupported);
  FakeMachine bare(1);
  bare.files.nodes["/proc/self/cgroup"] = "0::/\n";
  EXPECT_EQ(bare.absence().code, Errc::kNotFound);
}

TEST(CpuQuota, AfterARefusedStepTheGroupStillGoes) {
  FakeMachine m(1);
  Knob& knob = m.probe();
  const std::string group = "/sys/fs/cgroup/cpu/" + group_name();
  m.files.refuse_write[group + "/cpu.cfs_quota_us"] = EINVAL;
  EXPECT_FALSE(knob.write(0.5));
  EXPECT_EQ(*knob.write(1.0), Value(1.0));
  EXPECT_FALSE(m.files.folders.contains(group));
}

/// The real kernel of this machine.
class RealCpuQuota : public ::testing::Test {
 protected:
  void SetUp() override {
    found_ = knob_driver::cpu_quota.discover(host_);
    if (found_.knobs.empty()) GTEST_SKIP() << "cannot limit CPU time here: " << found_.absent.at(0).why.text();
    membership_ = *files_->read("/proc/self/cgroup");
  }
  /// CPU time per second of a thread that does nothing but compute.
  double busy_share() {
    const auto wall = clock_->now();
    const auto cpu = clock_->process_cpu();
    while (clock_->now() - wall < Seconds(0.3)) {
    }
    return (clock_->process_cpu() - cpu) / (clock_->now() - wall);
  }

  std::unique_ptr<Files> files_ = real_files();
  std::unique_ptr<Clock> clock_ = real_clock();
  Host host_{*files_, *clock_};
  KnobDiscovery found_;
  std::string membership_;
};

TEST_F(RealCpuQuota, HoldsThisProcessDownAndLetsItGo) {
  Knob& knob = *found_.knobs[0];
  const double cpus = *online_cpus(*files_);
  ASSERT_EQ(*knob.write(0.25), Value(0.25));
  const double share = busy_share();
  EXPECT_LT(share, std::min(1.0, 0.25 * cpus) + 0.1);
  ASSERT_EQ(*knob.write(1.0), Value(1.0));
  EXPECT_EQ(*files_->read("/proc/self/cgroup"), membership_);
}

TEST_F(RealCpuQuota, RecoverRemovesTheFolderOfAKilledRun) {
  const ScratchFolder scratch;
  const std::string record = (scratch.path() / "lease.json").string();
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto found = knob_driver::cpu_quota.discover(host_);
    auto lease = Lease::take(host_, {found.knobs.at(0).get()}, {.record_path = record});
    const char ok = lease && (*lease)->apply({{"cpu_quota_ratio", 0.5}}) ? 'y' : 'n';
    if (::write(ready[1], &ok, 1) != 1) ::_exit(1);
    for (;;) ::pause();
  }
  char ok = 'n';
  EXPECT_EQ(::read(ready[0], &ok, 1), 1);
  EXPECT_EQ(ok, 'y');
  ::close(ready[0]);
  ::close(ready[1]);
  const auto busy = recover(host_, {}, record);
  ASSERT_FALSE(busy);
  EXPECT_EQ(busy.error().code, Errc::kBusy);
  EXPECT_THAT(busy.error().what, HasSubstr(std::to_string(child)));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  const auto recovered = recover(host_, {}, record);
  ASSERT_TRUE(recovered) << recovered.error().text();
  ASSERT_EQ(recovered->knobs.size(), 1u);
  EXPECT_TRUE(recovered->knobs.at(0).status) << recovered->knobs.at(0).status.error().text();
  EXPECT_TRUE(recovered->knobs.at(0).written);
  EXPECT_FALSE(std::filesystem::exists(record));
  for (const char* mount : {"/sys/fs/cgroup/cpu/", "/sys/fs/cgroup/"}) {
    EXPECT_FALSE(std::filesystem::exists(mount + std::string("polythrottle-") + std::to_string(child)));
  }
}

}  // namespace
}  // namespace polythrottle
