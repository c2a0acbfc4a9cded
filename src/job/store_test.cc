#include "job/store.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include "job/live_program.h"

namespace polythrottle::job {
namespace {

class JobStore : public ::testing::Test {
 protected:
  std::unique_ptr<Store> open(double now = 1000.0) {
    auto store = Store::open(folder_ / "state/jobs", now);
    EXPECT_TRUE(store) << store.error().text();
    return store ? std::move(*store) : nullptr;
  }
  Folder folder_;
  const Spec spec_{.name = "update", .command = {"./train", "a b"}, .deadline = Seconds(60), .kind = "signal"};
};

TEST_F(JobStore, KnowsItsJobsAfterARestart) {
  Record done;
  {
    const auto store = open();
    ASSERT_TRUE(store->add(spec_, 1.5));
    auto second = store->add(Spec{.command = {"true"}}, 2.5);
    ASSERT_TRUE(second);
    EXPECT_EQ(second->id, 2u);
    done = *second;
    done.state = State::kDone;
    done.kind = "freezer";
    done.steps_done = 7;
    done.steps = 7;
    done.ended = 3.5;
    done.exit_code = 0;
    done.why = "it ended";
    ASSERT_TRUE(store->save(done));
  }
  const auto store = open(2000.0);
  const auto records = store->records();
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].spec, spec_);
  EXPECT_EQ(records[1], done);
  EXPECT_EQ(store->add(spec_, 4.0)->id, 3u);
}

TEST_F(JobStore, ListsWhatRanWhenTheServerEndedAsInterrupted) {
  for (const State state : {State::kStarting, State::kWaiting, State::kStepping, State::kPaused}) {
    auto record = *open()->add(spec_, 1.0);
    record.state = state;
    {
      // As a server that is killed leaves it.
      const auto store = open(1.0);
      ASSERT_TRUE(store->save(record));
    }
    const auto found = open(2000.0)->records().back();
    EXPECT_EQ(found.state, State::kInterrupted) << to_string(state);
    EXPECT_EQ(found.ended, 2000.0);
    EXPECT_NE(found.why.find("resume"), std::string::npos);
    // On disk too, and not again.
    EXPECT_EQ(open(3000.0)->records().back(), found);
  }
}

TEST_F(JobStore, IsUsedByOneServerAtATime) {
  const auto store = open();
  const auto second = Store::open(folder_ / "state/jobs", 1.0);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::kBusy);
}

TEST_F(JobStore, PassesOverWhatItCannotReadAndKeepsIt) {
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(open()->add(spec_, 1.0));
  std::ofstream(folder_ / "state/jobs/1/state.json") << "{\"state\":\"dancing\"}";
  std::ofstream(folder_ / "state/jobs/2/spec.json") << "{\"command\":";
  std::filesystem::create_directories(folder_ / "state/jobs/new-4");
  std::filesystem::create_directories(folder_ / "state/jobs/lost+found");
  const auto store = open();
  ASSERT_EQ(store->records().size(), 1u);
  EXPECT_EQ(store->records()[0].id, 3u);
  EXPECT_EQ(store->unreadable().size(), 2u);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "state/jobs/1"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "state/jobs/new-4"));
  EXPECT_EQ(store->add(spec_, 1.0)->id, 4u);
}

TEST_F(JobStore, KeepsTheStateThatWasThereWhenTheDiskIsFull) {
  const auto store = open();
  auto record = *store->add(spec_, 1.0);
  const Record before = record;
  // Stands in for a full disk: no file may grow.
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit found{};
  ::getrlimit(RLIMIT_FSIZE, &found);
  const rlimit none{0, found.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &none), 0);
  record.state = State::kDone;
  const auto saved = store->save(record);
  const auto added = store->add(spec_, 2.0);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &found), 0);
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().code, Errc::kIo);
  ASSERT_FALSE(added);
  EXPECT_EQ(store->records(), std::vector{before});
  // And it goes on when there is room again.
  EXPECT_TRUE(store->save(record));
  EXPECT_EQ(store->add(spec_, 3.0)->id, 2u);
}

TEST_F(JobStore, ReadsOutputFromWhereItIsAsked) {
  const auto store = open();
  const auto id = store->add(spec_, 1.0)->id;
  EXPECT_EQ(store->read_output(id, 0), "");
  std::ofstream(store->output_path(id)) << "hello\nworld\n";
  EXPECT_EQ(store->read_output(id, 6), "world\n");
  EXPECT_EQ(store->read_output(id, 1000), "");
  EXPECT_TRUE(store->bound_output(id));
  EXPECT_EQ(store->read_output(id, 0), "hello\nworld\n");
}

TEST_F(JobStore, GivesOldOutputBackToTheDisk) {
  const auto store = open();
  const auto id = store->add(spec_, 1.0)->id;
  const std::string block(1 << 20, 'x');
  constexpr std::size_t kBlocks = (Store::kOutputKept >> 20) + 8;
  std::ofstream file(store->output_path(id), std::ios::app);
  for (std::size_t i = 0; i < kBlocks; ++i) file << block;
  file << "the end\n" << std::flush;
  const auto bounded = store->bound_output(id);
  ASSERT_TRUE(bounded) << bounded.error().text();
  struct stat info {};
  ASSERT_EQ(::stat(store->output_path(id).c_str(), &info), 0);
  if (info.st_size == 0) GTEST_SKIP() << "this file system cannot punch holes";
  EXPECT_LE(static_cast<std::size_t>(info.st_blocks) * 512, Store::kOutputKept + (2 << 20));
  EXPECT_EQ(store->read_output(id, kBlocks << 20), "the end\n");
  EXPECT_EQ(store->read_output(id, 0)->front(), '\0');
  // What the job writes on comes behind.
  file << "more\n" << std::flush;
  EXPECT_EQ(store->read_output(id, (kBlocks << 20) + 8), "more\n");
}

TEST_F(JobStore, SaysWhatIsWrongWithItsFolder) {
  std::ofstream(folder_ / "file") << "";
  const auto store = Store::open(folder_ / "file/jobs", 1.0);
  ASSERT_FALSE(store);
  EXPECT_NE(store.error().what.find("file/jobs"), std::string::npos);
}

}  // namespace
}  // namespace polythrottle::job
