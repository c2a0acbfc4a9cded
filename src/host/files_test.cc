#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "host/host.h"

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
