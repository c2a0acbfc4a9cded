#include "job/cgroup.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/fake.h"

namespace polythrottle::job {
namespace {

const GroupWishes kAll{.freezer = true, .memory_bytes = 1e9, .cpus = 1.5};

/// As systemd has it, for root.
std::map<std::string, std::string> version_2() {
  const std::string mount = "/sys/fs/cgroup";
  return {{"/proc/self/cgroup", "0::/system.slice/pt.service\n"},
          {mount + "/cgroup.controllers", "cpu memory pids\n"},
          {mount + "/cgroup.subtree_control", "cpu memory pids\n"},
          {mount + "/cgroup.procs", ""},
          {mount + "/system.slice/cgroup.subtree_control", "memory pids\n"},
          {mount + "/system.slice/cgroup.procs", ""},
          {mount + "/system.slice/pt.service/cgroup.subtree_control", "\n"},
          {mount + "/system.slice/pt.service/cgroup.procs", ""}};
}
std::map<std::string, std::string> version_1() {
  return {{"/proc/self/cgroup", "7:freezer:/\n4:memory:/box/1\n2:cpu,cpuacct:/\n"},
          {"/sys/fs/cgroup/freezer/cgroup.procs", ""},
          {"/sys/fs/cgroup/memory/box/1/cgroup.procs", ""},
          {"/sys/fs/cgroup/cpu,cpuacct/cgroup.procs", ""}};
}
/// The kernel makes the files of a control group with its folder.
void make_nodes_with_folders(FakeFiles& files) {
  files.on_make_folder = [&files](const std::string& folder) {
    const bool old = !files.nodes.contains("/sys/fs/cgroup/cgroup.controllers");
    files.nodes[folder + "/cgroup.procs"] = "";
    const std::vector<const char*> nodes =
        old ? std::vector<const char*>{"freezer.state", "memory.limit_in_bytes", "cpu.cfs_period_us", "cpu.cfs_quota_us", "cpu.shares"}
            : std::vector<const char*>{"cgroup.freeze",    "cgroup.events", "memory.max",     "memory.swap.max",
                                       "memory.oom.group", "cpu.max",       "cpu.weight.nice"};
    for (const char* name : nodes) files.nodes[folder + "/" + name] = "";
  };
}

TEST(JobGroup, OfVersion2IsWhereEachControllerIsHandedOn) {
  FakeFiles files(version_2());
  make_nodes_with_folders(files);
  {
    const auto group = JobGroup::make(files, kAll, "job");
    EXPECT_TRUE(group.freezes());
    EXPECT_TRUE(group.limits_memory());
    EXPECT_TRUE(group.limits_cpus());
    EXPECT_EQ(group.freeze_file(), "/sys/fs/cgroup/system.slice/pt.service/job/cgroup.freeze");
    EXPECT_EQ(files.nodes["/sys/fs/cgroup/system.slice/job/memory.max"], "1000000000\n");
    EXPECT_EQ(files.nodes["/sys/fs/cgroup/job/cpu.max"], "15000 10000\n");
  }
  EXPECT_TRUE(files.folders.empty());
}

TEST(JobGroup, OfVersion1IsOneInEachHierarchy) {
  FakeFiles files(version_1());
  make_nodes_with_folders(files);
  const auto group = JobGroup::make(files, kAll, "job");
  EXPECT_EQ(group.freeze_file(), "/sys/fs/cgroup/freezer/job/freezer.state");
  EXPECT_EQ(group.entrances().size(), 3u);
  EXPECT_EQ(files.nodes["/sys/fs/cgroup/memory/box/1/job/memory.limit_in_bytes"], "1000000000\n");
  EXPECT_EQ(files.nodes["/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us"], "15000\n");
  EXPECT_STREQ(group.thaw_text(), "THAWED");
}

TEST(JobGroup, IsLeftOutWhereNothingMayBeWritten) {
  FakeFiles files(version_2());
  make_nodes_with_folders(files);
  for (const auto& [path, text] : version_2()) files.refuse_write[path] = EACCES;
  for (const char* folder : {"", "/system.slice", "/system.slice/pt.service"})
    files.refuse_write[std::string("/sys/fs/cgroup") + folder] = EACCES;
  const auto group = JobGroup::make(files, kAll, "job");
  EXPECT_FALSE(group.freezes() || group.limits_memory() || group.limits_cpus());
  EXPECT_TRUE(group.folders().empty());
  const auto can = JobGroup::can_freeze(files);
  ASSERT_FALSE(can);
  EXPECT_EQ(can.error().code, Errc::kPermission);
}

TEST(JobGroup, SaysWhereThereIsNoFreezerAtAll) {
  FakeFiles files;
  files.nodes["/proc/self/cgroup"] = "0::/\n";
  const auto can = JobGroup::can_freeze(files);
  ASSERT_FALSE(can);
  EXPECT_EQ(can.error().code, Errc::kUnsupported);
}

TEST(JobGroup, DoesNotHoldTheGroupOfTheKnobOpen) {
  const std::string own = "/polythrottle-" + std::to_string(::getpid());
  FakeFiles files({{"/proc/self/cgroup", "1:cpu:" + own + "\n"},
                   {"/sys/fs/cgroup/cpu/cgroup.procs", ""},
                   {"/sys/fs/cgroup/cpu" + own + "/cgroup.procs", ""}});
  EXPECT_EQ(way_out_of_quota(files), "/sys/fs/cgroup/cpu/cgroup.procs");
  make_nodes_with_folders(files);
  const auto group = JobGroup::make(files, {.cpus = 1.0}, "job");
  EXPECT_EQ(group.folders(), std::vector<std::string>{"/sys/fs/cgroup/cpu/job"});
  EXPECT_EQ(way_out_of_quota(FakeFiles(version_1())), "");
}

/// This machine without its cgroup v2, so that the v1 freezer is taken.
class OnlyVersion1 : public Files {
 public:
  Result<std::string> read(const std::string& path) const override {
    if (path.ends_with("cgroup.controllers")) return fail(Errc::kNotFound, "hidden");
    return real_->read(path);
  }
  Status write(const std::string& path, const std::string& text) override { return real_->write(path, text); }
  Result<std::vector<std::string>> list(const std::string& folder) const override { return real_->list(folder); }
  Status make_folder(const std::string& path) override { return real_->make_folder(path); }
  Status remove_folder(const std::string& path) override { return real_->remove_folder(path); }
  Status writable(const std::string& path) const override { return real_->writable(path); }

 private:
  std::unique_ptr<Files> real_ = real_files();
};

void freeze_and_thaw(Files& files) {
  auto group = JobGroup::make(files, {.freezer = true}, "polythrottle-test-" + std::to_string(::getpid()));
  if (!group.freezes()) GTEST_SKIP() << group.no_freezer().text();
  const pid_t child = ::fork();
  if (child == 0) {
    for (;;) ::pause();
  }
  for (const std::string& entrance : group.entrances()) ASSERT_TRUE(files.write(entrance, std::to_string(child)));
  EXPECT_EQ(group.members(), std::vector<long long>{child});
  const auto clock = real_clock();
  const auto frozen = group.freeze(*clock, Seconds(30));
  EXPECT_TRUE(frozen) << frozen.error().text();
  EXPECT_TRUE(group.thaw());
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  group.remove();
}

TEST(JobGroup, FreezesARealProcess) { freeze_and_thaw(*real_files()); }

TEST(JobGroup, FreezesARealProcessByVersion1) {
  OnlyVersion1 files;
  freeze_and_thaw(files);
}

}  // namespace
}  // namespace polythrottle::job
