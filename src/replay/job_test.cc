#include "replay/job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "replay/duration.h"

namespace polythrottle::replay {
namespace {

TEST(FinetuneWords, ReadBackAsTheyAreWritten) {
  for (const char* text : {"batch=64,iterations=10,outputs=1000,train=head,precision=fp16",
                           "batch=32,iterations=2,outputs=10,at=5s,pieces=32/16/8,deadline=60s,train=all,precision=fp32",
                           "batch=8,iterations=1,outputs=2,train=3,precision=fp16"}) {
    const auto job = parse_finetune(text);
    ASSERT_TRUE(job) << job.error().text();
    EXPECT_EQ(to_text(*job), text);
  }
}

TEST(FinetuneWords, WhatIsWrongIsSaidWithTheWord) {
  const auto error = [](const char* text) { return parse_finetune(text) ? std::string() : parse_finetune(text).error().text(); };
  EXPECT_THAT(error("foo=1"), testing::AllOf(testing::HasSubstr("'foo'"), testing::HasSubstr("iterations")));
  EXPECT_THAT(error("batch"), testing::HasSubstr("not KEY=VALUE"));
  EXPECT_THAT(error(""), testing::HasSubstr("not KEY=VALUE"));
  EXPECT_THAT(error("batch=0"), testing::HasSubstr("no whole number"));
  EXPECT_THAT(error("batch=8,batch=9"), testing::HasSubstr("given twice"));
  EXPECT_THAT(error("batch=64,pieces=64/48"), testing::HasSubstr("does not divide"));
  EXPECT_THAT(error("batch=64,pieces=32/64"), testing::HasSubstr("smaller than the one before"));
  EXPECT_THAT(error("batch=12,pieces=12/6/4"), testing::HasSubstr("6 is no multiple of the smallest, 4"));
  EXPECT_THAT(error("batch=64,pieces=32/16"), testing::HasSubstr("the first is the whole step"));
  EXPECT_THAT(error("batch=64,deadline=0s"), testing::HasSubstr("above zero"));
  EXPECT_THAT(error("batch=64,at=5"), testing::HasSubstr("no unit"));
  EXPECT_THAT(error("train=nothing"), testing::HasSubstr("no whole number"));
}

TEST(FinetuneWords, OfAStepHaveNothingOfTheJob) {
  const auto job = parse_finetune_step("batch=8,outputs=10,train=all");
  ASSERT_TRUE(job) << job.error().text();
  EXPECT_EQ(to_text(*job), "batch=8,iterations=10,outputs=10,train=all,precision=fp16");
  for (const char* text : {"iterations=3", "batch=8,pieces=8/4", "deadline=1s", "at=1s", "precision=fp16"}) {
    const auto refused = parse_finetune_step(text);
    ASSERT_FALSE(refused) << text;
    EXPECT_THAT(refused.error().text(), testing::AllOf(testing::HasSubstr("unknown key"), testing::HasSubstr("batch, outputs, train")));
  }
}

TEST(Duration, HasAUnitAndAnEnd) {
  EXPECT_EQ(parse_duration("30s"), Seconds(30));
  EXPECT_NEAR(parse_duration("700ms")->count(), 0.7, 1e-12);
  EXPECT_EQ(parse_duration("1h"), Seconds(3600));
  EXPECT_EQ(parse_duration("5min"), Seconds(300));
  for (const char* text : {"", "5", "s", "-1s", "1e9s", "nans", "infs", "5 s", "5sec"}) EXPECT_FALSE(parse_duration(text)) << text;
}

TEST(JobWork, IsShortestInTheLargestPieceAndLongerAtLowerClocks) {
  const auto& board = **simulation::find_board("jetson-orin");
  const auto& network = **simulation::find_network("efficientnet-b0");
  const auto whole = *parse_finetune("batch=16,iterations=10,outputs=10");
  const auto pieces = *parse_finetune("batch=16,iterations=10,outputs=10,pieces=16/4");
  const auto setting = board.default_setting();
  auto slow = setting;
  slow.gpu_max = board.gpu_levels[2];
  EXPECT_LE(job_work(board, network, pieces, setting), job_work(board, network, whole, setting));
  EXPECT_LT(job_work(board, network, whole, setting), job_work(board, network, whole, slow));
}

TEST(MemoryNeed, EveryLayerOfB7AtBatch64DoesNotFitOnTheBoard) {
  const auto& board = **simulation::find_board("jetson-orin");
  const auto& network = **simulation::find_network("efficientnet-b7");
  EXPECT_FALSE(memory_need(board, network, simulation::Precision::kFp16, 16, *parse_finetune("batch=64,train=all")).fits());
  EXPECT_TRUE(memory_need(board, network, simulation::Precision::kFp16, 16, *parse_finetune("batch=64,train=head")).fits());
}

}  // namespace
}  // namespace polythrottle::replay
