#include "job/user.h"

#include <gtest/gtest.h>

#include "host/fake.h"

namespace polythrottle::job {
namespace {

FakeFiles machine() {
  return FakeFiles({{"/etc/passwd",
                     "root:x:0:0:root:/root:/bin/bash\nada:x:1000:1000:Ada,,,:/home/ada:/bin/bash\nbroken:x\n"
                     "nobody:x:65533:65532:nobody:/nonexistent:/usr/sbin/nologin\n"},
                    {"/etc/group", "root:x:0:ada\nvideo:x:44:bob,ada\nrender:x:106:ada\naudio:x:29:bob\nada:x:1000:\n"}});
}

TEST(JobUser, IsNobodyElseWhereWeAreNotRoot) {
  const auto user = job_user(machine(), 1000, "1001", "1001");
  ASSERT_TRUE(user);
  EXPECT_FALSE(user->has_value());
}

TEST(JobUser, IsTheOneBehindSudoWithTheGroupsOfTheGpuButNotRoots) {
  const auto user = job_user(machine(), 0, "1000", "1000");
  ASSERT_TRUE(user && *user);
  EXPECT_EQ((*user)->uid, 1000u);
  EXPECT_EQ((*user)->gid, 1000u);
  EXPECT_EQ((*user)->home, "/home/ada");
  EXPECT_EQ((*user)->groups, (std::vector<gid_t>{1000, 44, 106}));
}

TEST(JobUser, IsNobodyForRootItself) {
  for (const char* sudo : {static_cast<const char*>(nullptr), "0"}) {
    const auto user = job_user(machine(), 0, sudo, sudo);
    ASSERT_TRUE(user && *user);
    EXPECT_EQ((*user)->uid, 65533u);
    EXPECT_EQ((*user)->groups, (std::vector<gid_t>{65532}));
  }
  const auto bare = job_user(FakeFiles(), 0, nullptr, nullptr);
  ASSERT_TRUE(bare && *bare);
  EXPECT_EQ((*bare)->uid, 65534u);
}

TEST(JobUser, OfAVariableThatIsNoNumberIsAnError) {
  for (const char* sudo : {"ada", "-1", "4294967295", "1000x", ""}) {
    EXPECT_FALSE(job_user(machine(), 0, sudo, "1000")) << sudo;
  }
  EXPECT_FALSE(job_user(machine(), 0, "1000", "root"));
}

}  // namespace
}  // namespace polythrottle::job
