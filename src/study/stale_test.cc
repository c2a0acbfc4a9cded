#include "study/stale.h"

#include <gtest/gtest.h>

#include "study/facts.h"

namespace polythrottle {
namespace {

TEST(Stale, TheFirstMarkStays) {
  const auto journal = memory_journal();
  EXPECT_FALSE(stale_of(*journal->facts()));
  ASSERT_TRUE(mark_stale(*journal, {"latency left its band", 1000.5}));
  ASSERT_TRUE(mark_stale(*journal, {"another", 2000.0}));
  const auto stale = stale_of(*journal->facts());
  ASSERT_TRUE(stale);
  EXPECT_EQ(stale->reason, "latency left its band");
  EXPECT_DOUBLE_EQ(stale->wall_seconds, 1000.5);
  EXPECT_EQ(stale_text(*stale), "the study is stale: latency left its band; tune again");
}

TEST(Stale, AMarkThatCannotBeReadCounts) {
  for (const char* mark : {"", "nonsense", "{}", "[1]", R"({"reason": 3, "at": 1})"}) {
    EXPECT_TRUE(stale_of({{fact::kStale, mark}})) << mark;
  }
}

TEST(Stale, AFileThatIsNotThereIsAnError) { EXPECT_FALSE(mark_stale(std::string("/nonexistent/study.sqlite"), {"any", 0.0})); }

}  // namespace
}  // namespace polythrottle
