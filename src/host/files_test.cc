#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "host/host.h"
#include "host/open_nodes.h"

namespace polythrottle {
namespace {

class RealFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "polythrottle-files-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    std::filesystem::create_directories(root_ / "sys/node");
    std::ofstream(root_ / "sys/node/value") << "1234567\n";
    files_ = real_files(root_.string());
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  std::filesystem::path root_;
  std::unique_ptr<Files> files_;
};

TEST_F(RealFilesTest, ReadsAndWritesBelowTheRoot) {
  EXPECT_EQ(*files_->read("/sys/node/value"), "1234567\n");
  ASSERT_TRUE(files_->write("/sys/node/value", "89"));
  EXPECT_EQ(*files_->read("/sys/node/value"), "89");  // the longer old text left no tail
}

TEST_F(RealFilesTest, NeverCreatesAFile) {
  EXPECT_EQ(files_->write("/sys/node/absent", "1").error().code, Errc::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(root_ / "sys/node/absent"));
  EXPECT_EQ(files_->read("/sys/node/absent").error().code, Errc::kNotFound);
  EXPECT_EQ(files_->list("/sys/absent").error().code, Errc::kNotFound);
  EXPECT_EQ(files_->writable("/sys/node/absent").error().code, Errc::kNotFound);
}

TEST_F(RealFilesTest, ListsSortedAndMakesAndRemovesFolders) {
  ASSERT_TRUE(files_->make_folder("/sys/node/a"));
  EXPECT_EQ(*files_->list("/sys/node"), (std::vector<std::string>{"a", "value"}));
  EXPECT_FALSE(files_->make_folder("/sys/node/a"));
  ASSERT_TRUE(files_->remove_folder("/sys/node/a"));
  EXPECT_EQ(files_->remove_folder("/sys/node/a").error().code, Errc::kNotFound);
}

TEST_F(RealFilesTest, ANodeWithoutWriteBitsIsReadOnlyEvenForRoot) {
  EXPECT_TRUE(files_->writable("/sys/node/value"));
  EXPECT_TRUE(files_->writable("/sys/node"));
  ASSERT_EQ(::chmod((root_ / "sys/node/value").c_str(), 0444), 0);
  EXPECT_EQ(files_->writable("/sys/node/value").error().code, Errc::kPermission);
}

TEST_F(RealFilesTest, ForbiddenIsToldFromAbsentWithAHint) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may read everything";
  ASSERT_EQ(::chmod((root_ / "sys/node/value").c_str(), 0), 0);
  const auto read = files_->read("/sys/node/value");
  EXPECT_EQ(read.error().code, Errc::kPermission);
  EXPECT_NE(read.error().hint.find("root"), std::string::npos);
}

TEST_F(RealFilesTest, AFileOfAFixtureThatIsReplacedIsReadAnew) {
  EXPECT_EQ(*files_->read("/sys/node/value"), "1234567\n");
  std::ofstream(root_ / "sys/node/other") << "5\n";
  std::filesystem::rename(root_ / "sys/node/other", root_ / "sys/node/value");
  EXPECT_EQ(*files_->read("/sys/node/value"), "5\n");
}

TEST_F(RealFilesTest, CountsWritesRefusedOnesIncluded) {
  EXPECT_EQ(files_->written().count, 0U);
  ASSERT_TRUE(files_->write("/sys/node/value", "1"));
  EXPECT_FALSE(files_->write("/sys/node/absent", "1"));
  EXPECT_EQ(files_->written().count, 2U);
  EXPECT_GT(files_->written().time, Seconds(0));
}

std::size_t open_descriptors() {
  const auto folder = std::filesystem::directory_iterator("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(folder), end(folder)));
}

TEST(RealFiles, AKernelNodeIsOpenedOnceAndAnswersAnewEachTime) {
  const std::string node = "/proc/sys/kernel/random/uuid";  // another number in every answer
  const auto files = real_files();
  const std::size_t before = open_descriptors();
  const auto first = files->read(node);
  if (!first) GTEST_SKIP() << "no " << node << " here: " << first.error().what;
  EXPECT_EQ(open_descriptors(), before + 1);
  const auto second = files->read(node);
  ASSERT_TRUE(second);
  EXPECT_NE(*first, *second);
  EXPECT_EQ(first->size(), second->size());
  EXPECT_EQ(open_descriptors(), before + 1);
}

TEST(RealFiles, NothingOfAProcessIsKeptOpen) {
  const auto files = real_files();
  const std::size_t before = open_descriptors();
  ASSERT_TRUE(files->read("/proc/self/stat"));
  ASSERT_TRUE(files->read("/proc/" + std::to_string(::getpid()) + "/stat"));
  EXPECT_EQ(open_descriptors(), before);
}

/// What a removed node says through an old descriptor only the kernel knows: an empty control group of our own is made and removed.
TEST(RealFiles, ANodeThatWasRemovedAndMadeAnewIsOpenedAnew) {
  const auto files = real_files();
  std::string group, node;
  for (const auto& [root, name] : {std::pair{"/sys/fs/cgroup/cpu", "cpu.cfs_quota_us"}, {"/sys/fs/cgroup", "cgroup.max.descendants"}}) {
    const std::string folder = std::string(root) + "/polythrottle-files-test-" + std::to_string(::getpid());
    if (!files->make_folder(folder)) continue;
    if (files->read(folder + "/" + name)) {
      group = folder;
      node = folder + "/" + name;
      break;
    }
    (void)files->remove_folder(folder);
  }
  if (group.empty()) GTEST_SKIP() << "this user may make no control group here";
  const std::string untouched = *files->read(node);
  ASSERT_TRUE(files->write(node, "20000"));
  ASSERT_TRUE(files->write(node, "30000"));  // through the descriptor that was kept
  EXPECT_EQ(*files->read(node), "30000\n");
  // Behind our back, as hotplug does it.
  ASSERT_EQ(::rmdir(group.c_str()), 0);
  EXPECT_EQ(files->read(node).error().code, Errc::kNotFound);
  ASSERT_EQ(::mkdir(group.c_str(), 0755), 0);
  EXPECT_EQ(*files->read(node), untouched);
  ASSERT_TRUE(files->write(node, "40000"));
  EXPECT_EQ(*files->read(node), "40000\n");
  const std::size_t open = open_descriptors();
  ASSERT_TRUE(files->remove_folder(group));
  EXPECT_EQ(open_descriptors(), open - 2);  // one to read, one to write
}

TEST(OpenNodes, TheLeastRecentlyUsedMakesRoom) {
  using enum OpenNodes::Access;
  OpenNodes nodes(2);
  const auto nothing = std::make_shared<const OpenFile>(-1);
  nodes.keep("/a", kRead, nothing);
  nodes.keep("/b", kRead, nothing);
  EXPECT_NE(nodes.find("/a", kRead), nullptr);
  nodes.keep("/c", kRead, nothing);
  EXPECT_EQ(nodes.find("/b", kRead), nullptr);
  EXPECT_NE(nodes.find("/a", kRead), nullptr);
  EXPECT_EQ(nodes.find("/a", kWrite), nullptr);
  EXPECT_EQ(nodes.size(), 2U);
  nodes.keep("/c", kRead, nothing);  // the same place, anew
  EXPECT_EQ(nodes.size(), 2U);
}

TEST(OpenNodes, AFolderTakesWhatIsInItAndNothingElse) {
  using enum OpenNodes::Access;
  OpenNodes nodes;
  for (const char* path : {"/group/a", "/group/b", "/group2/a"}) nodes.keep(path, kWrite, std::make_shared<const OpenFile>(-1));
  nodes.drop_below("/group");
  EXPECT_EQ(nodes.size(), 1U);
  EXPECT_NE(nodes.find("/group2/a", kWrite), nullptr);
}

TEST(RealFiles, ReportsAShortWriteAndTheKernelsRefusal) {
  const auto files = real_files();
  if (!files->writable("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  const auto full = files->write("/dev/full", "x");
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, Errc::kIo);
  EXPECT_NE(full.error().what.find("write /dev/full"), std::string::npos);
}

}  // namespace
}  // namespace polythrottle
