// One suite for every journal, and what only the file can show: reopening, damage, foreign files.
#include "journal/journal.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "journal/observed.h"

namespace polythrottle {
namespace {

namespace fs = std::filesystem;

std::string fresh_path(const std::string& name) {
  const auto path = fs::temp_directory_path() / ("polythrottle-journal-" + std::to_string(getpid()) + "-" + name);
  for (const char* suffix : {"", "-wal", "-shm"}) fs::remove(path.string() + suffix);
  return path.string();
}

Advice advice(double batch) { return {Advice::Kind::kTry, Config{{"batch", batch}, {"precision", std::string("fp16")}}, "because", 0.03}; }

Outcome outcome() {
  Outcome o;
  o.got = Config{{"batch", 4.0}};
  o.metrics[std::string(kEnergy)] = {1.25, 0.01, 40, {{"gain", 0.05}}};
  o.metrics[std::string(kLatencyMean)] = {0.02, {}, {}, {}};
  o.note = "fine \"quoted\" \xc3\xa4";
  o.notes = {"one", "two"};
  return o;
}

class EveryJournal : public testing::TestWithParam<const char*> {
 public:
  std::unique_ptr<Journal> make() {
    if (std::string(GetParam()) == "memory") return memory_journal();
    if (std::string(GetParam()) == "observed") return observed_journal(memory_journal(), {[](const auto&) {}, [](const auto&) {}});
    return open_sqlite_journal(fresh_path("every"), OpenMode::kCreate).value();
  }
};

TEST_P(EveryJournal, KeepsWhatWasWritten) {
  auto journal = make();
  ASSERT_TRUE(journal->describe({{"device", "sim"}, {"seed", "1"}}));
  ASSERT_TRUE(journal->describe({{"seed", "2"}}));
  EXPECT_EQ(journal->facts().value(), (StudyFacts{{"device", "sim"}, {"seed", "2"}}));
  const TrialId first = journal->begin(advice(4), 7, 100.0).value();
  ASSERT_TRUE(journal->finish(first, outcome(), 101.5));
  ASSERT_TRUE(journal->begin(advice(8), 0xffffffffffffffffULL, 102.0));
  const auto history = journal->history().value();
  ASSERT_EQ(history.size(), 2U);
  EXPECT_EQ(history[0].state, TrialState::kCompleted);
  EXPECT_EQ(history[0].asked, advice(4).config);
  EXPECT_EQ(history[0].advice.reason, "because");
  EXPECT_EQ(history[0].advice.expected_gain, 0.03);
  EXPECT_EQ(history[0].outcome.got, outcome().got);
  EXPECT_EQ(history[0].metrics(), outcome().metrics);
  EXPECT_EQ(history[0].outcome.note, outcome().note);
  EXPECT_EQ(history[0].outcome.notes, outcome().notes);
  EXPECT_EQ(history[0].finished, 101.5);
  EXPECT_EQ(history[1].state, TrialState::kRunning);
  EXPECT_EQ(history[1].seed, 0xffffffffffffffffULL);
}

TEST_P(EveryJournal, FinishesATrialOnce) {
  auto journal = make();
  const TrialId id = journal->begin(advice(1), 0, 0.0).value();
  ASSERT_TRUE(journal->finish(id, outcome(), 1.0));
  EXPECT_EQ(journal->finish(id, outcome(), 2.0).error().code, Errc::kInvalid);
  EXPECT_EQ(journal->finish(99, outcome(), 2.0).error().code, Errc::kInvalid);
}

INSTANTIATE_TEST_SUITE_P(All, EveryJournal, testing::Values("memory", "observed", "sqlite"));

TEST(ObservedJournal, TellsOfEachCallThatWritesBeforeAndAfterIt) {
  std::vector<std::string> told;
  const Journal* seen = nullptr;
  const auto note = [&](const std::string& text) { told.push_back(text + " " + std::to_string(seen->history().value().size())); };
  const auto journal = observed_journal(memory_journal(), {[&](const std::string& call) { note("before " + call); },
                                                           [&](const std::string& call) { note("after " + call); }});
  seen = journal.get();
  ASSERT_TRUE(journal->describe({{"seed", "1"}}));
  const TrialId id = journal->begin(advice(1), 0, 0.0).value();
  ASSERT_TRUE(journal->facts());
  ASSERT_TRUE(journal->finish(id, outcome(), 1.0));
  EXPECT_FALSE(journal->finish(id, outcome(), 1.0));
  EXPECT_EQ(told, (std::vector<std::string>{"before describe 0", "after describe 0", "before begin 0", "after begin 1", "before finish 1",
                                            "after finish 1", "before finish 1", "after finish 1"}));
}

TEST(SqliteJournal, IsThereAfterReopening) {
  const auto path = fresh_path("reopen");
  {
    auto journal = open_sqlite_journal(path, OpenMode::kCreate).value();
    ASSERT_TRUE(journal->describe({{"device", "x"}}));
    ASSERT_TRUE(journal->begin(advice(2), 1, 1.0));
  }
  EXPECT_EQ(open_sqlite_journal(path, OpenMode::kCreate).error().code, Errc::kInvalid);
  auto journal = open_sqlite_journal(path, OpenMode::kResume).value();
  EXPECT_EQ(journal->history().value().size(), 1U);
  EXPECT_EQ(open_sqlite_journal(path, OpenMode::kReadOnly).value()->history().value().size(), 1U);
}

TEST(SqliteJournal, RefusesWhatIsNoStudyAndLeavesItAlone) {
  EXPECT_EQ(open_sqlite_journal(fresh_path("absent"), OpenMode::kResume).error().code, Errc::kNotFound);
  EXPECT_EQ(open_sqlite_journal("/proc/nonexistent/s.sqlite", OpenMode::kCreate).error().code, Errc::kNotFound);
  EXPECT_EQ(open_sqlite_journal("/", OpenMode::kCreate).error().code, Errc::kInvalid);
  const auto text = fresh_path("text");
  std::ofstream(text) << std::string(5000, 'x');
  for (const auto mode : {OpenMode::kCreate, OpenMode::kResume, OpenMode::kReadOnly}) {
    EXPECT_EQ(open_sqlite_journal(text, mode).error().code, Errc::kCorrupt);
  }
  EXPECT_EQ(fs::file_size(text), 5000U);
}

TEST(SqliteJournal, TruncatedFileIsCorruptAndNotRepairedInSilence) {
  const auto path = fresh_path("truncated");
  {
    auto journal = open_sqlite_journal(path, OpenMode::kCreate).value();
    ASSERT_TRUE(journal->describe({{"device", "x"}}));
    for (int i = 0; i < 200; ++i) ASSERT_TRUE(journal->begin(advice(i), 1, 1.0));
  }
  fs::resize_file(path, fs::file_size(path) / 2);
  auto journal = open_sqlite_journal(path, OpenMode::kResume);
  const auto code = journal ? journal.value()->history().error().code : journal.error().code;
  EXPECT_EQ(code, Errc::kCorrupt);
}

TEST(SqliteJournal, HasOneWriterAtATimeAndAnyNumberOfReaders) {
  const auto path = fresh_path("writers");
  const auto writer = open_sqlite_journal(path, OpenMode::kCreate).value();
  ASSERT_TRUE(writer->describe({{"device", "x"}}));
  EXPECT_EQ(open_sqlite_journal(path, OpenMode::kResume).error().code, Errc::kBusy);
  EXPECT_EQ(open_sqlite_journal(path, OpenMode::kReadOnly).value()->facts().value().size(), 1U);
}

TEST(SqliteJournal, EmptyFileIsTakenOver) {
  const auto path = fresh_path("empty");
  std::ofstream(path).flush();
  EXPECT_TRUE(open_sqlite_journal(path, OpenMode::kCreate));
}

}  // namespace
}  // namespace polythrottle
