// The study file. SQLite in WAL mode with synchronous=FULL: a commit that returned survives kill -9 and loss of power.

#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "SchemaInit.h"
#include "journal/journal.h"
#include "trial/json.h"

namespace polythrottle {
namespace {

namespace fs = std::filesystem;

constexpr int kSchema = 1;
/// "PTst": marks our files in the SQLite header, so that somebody else's database is not taken for a study.
constexpr int kApplicationId = 0x50547374;

struct CloseDatabase {
  void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
};
using Database = std::unique_ptr<sqlite3, CloseDatabase>;

/// One writer at a time, for as long as the study is open; gone with the process, however it ends.
class FileLock {
 public:
  FileLock() = default;
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  FileLock(FileLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  /// Errors: kBusy; those of open(2).
  static Result<FileLock> take(const std::string& path) {
    FileLock lock(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    if (lock.descriptor_ < 0) return tl::unexpected<Error>(system_error("open study " + path, errno));
    if (flock(lock.descriptor_, LOCK_EX | LOCK_NB) != 0) {
      return fail(Errc::kBusy, fmt::format("open study {}: another process is writing it", path), "wait for it, or name another file");
    }
    return lock;
  }

 private:
  int descriptor_ = -1;
};

Error sqlite_error(sqlite3* db, const std::string& path, const std::string& act) {
  const int code = sqlite3_errcode(db) & 0xff;
  Errc errc = Errc::kIo;
  std::string hint;
  switch (code) {
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH: errc = Errc::kPermission; break;
    case SQLITE_CANTOPEN:
      errc = Errc::kPermission;
      hint = "the folder must exist and be writable";
      break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      errc = Errc::kBusy;
      hint = "another process uses this study";
      break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      errc = Errc::kCorrupt;
      hint = "this is no study file, or it is damaged; nothing was changed in it";
      break;
    case SQLITE_FULL: hint = "the disk is full; finished trials are safe, free some space and use --resume"; break;
    default: break;
  }
  return Error{errc, fmt::format("{} study {}: {}", act, path, sqlite3_errmsg(db)), hint};
}

/// One prepared statement; values are bound in order and columns read by number.
class Statement {
 public:
  Statement(sqlite3* db, const char* sql) { sqlite3_prepare_v2(db, sql, -1, &statement_, nullptr); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement() { sqlite3_finalize(statement_); }

  Statement& text(const std::string& value) {
    sqlite3_bind_text(statement_, ++bound_, value.data(), static_cast<int>(value.size()), SQLITE_TRANSIENT);
    return *this;
  }
  Statement& integer(std::int64_t value) {
    sqlite3_bind_int64(statement_, ++bound_, value);
    return *this;
  }
  Statement& real(double value) {
    sqlite3_bind_double(statement_, ++bound_, value);
    return *this;
  }
  /// SQLITE_ROW, SQLITE_DONE or an error. A statement that did not compile answers SQLITE_ERROR.
  int step() { return statement_ == nullptr ? SQLITE_ERROR : sqlite3_step(statement_); }

  std::string column_text(int i) const {
    const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, i));
    return text == nullptr ? std::string() : std::string(text, static_cast<std::size_t>(sqlite3_column_bytes(statement_, i)));
  }
  bool column_null(int i) const { return sqlite3_column_type(statement_, i) == SQLITE_NULL; }
  std::int64_t column_integer(int i) const { return sqlite3_column_int64(statement_, i); }
  double column_real(int i) const { return sqlite3_column_double(statement_, i); }

 private:
  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0;
};

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

class SqliteJournal final : public Journal {
 public:
  SqliteJournal(Database db, std::string path, FileLock lock) : lock_(std::move(lock)), db_(std::move(db)), path_(std::move(path)) {}

  Result<StudyFacts> facts() const override {
    StudyFacts out;
    Statement rows(db_.get(), "SELECT key, value FROM study");
    int code = rows.step();
    for (; code == SQLITE_ROW; code = rows.step()) out[rows.column_text(0)] = rows.column_text(1);
    if (code != SQLITE_DONE) return error("read");
    return out;
  }

  Status describe(const StudyFacts& facts) override {
    TRY_STATUS(execute("BEGIN IMMEDIATE"));
    for (const auto& [key, value] : facts) {
      if (Statement(db_.get(), "INSERT INTO study VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value")
              .text(key)
              .text(value)
              .step() != SQLITE_DONE) {
        return rollback("write");
      }
    }
    return commit();
  }

  Result<TrialId> begin(const Advice& advice, std::uint64_t seed, double wall_seconds) override {
    const std::string config = dump(to_json(advice.config));
    Statement insert(db_.get(), "INSERT INTO trials (state, config, asked, advice, started, seed) VALUES ('running', ?, ?, ?, ?, ?)");
    insert.text(config).text(config).text(dump(to_json(advice))).real(wall_seconds).integer(static_cast<std::int64_t>(seed));
    if (insert.step() != SQLITE_DONE) return error("write");
    return sqlite3_last_insert_rowid(db_.get());
  }

  Status finish(TrialId id, const Outcome& outcome, double wall_seconds) override {
    Statement update(db_.get(),
                     "UPDATE trials SET state = ?, got = ?, metrics = ?, errors = ?, note = ?, notes = ?, finished = ? WHERE id = ? AND "
                     "state = 'running'");
    update.text(to_string(outcome.state))
        .text(dump(to_json(outcome.got)))
        .text(dump(to_json(outcome.metrics)))
        .text(dump(errors_to_json(outcome.metrics)));
    update.text(outcome.note).text(dump(Json(outcome.notes))).real(wall_seconds).integer(id);
    if (update.step() != SQLITE_DONE) return error("write");
    if (sqlite3_changes(db_.get()) != 1) return fail(Errc::kInvalid, fmt::format("finish: trial {} is not running", id));
    return {};
  }

  Result<std::vector<Trial>> history() const override {
    std::vector<Trial> out;
    Statement rows(db_.get(),
                   "SELECT id, state, asked, got, metrics, advice, note, notes, started, finished, seed, errors FROM trials ORDER BY id");
    int code = rows.step();
    for (; code == SQLITE_ROW; code = rows.step()) {
      auto trial = read_trial(rows);
      if (!trial) {
        return fail(Errc::kCorrupt, fmt::format("study {}: trial {}: {}", path_, rows.column_integer(0), trial.error().what));
      }
      out.push_back(std::move(*trial));
    }
    if (code != SQLITE_DONE) return error("read");
    return out;
  }

  Status execute(const std::string& sql) {
    if (sqlite3_exec(db_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) return error("write");
    return {};
  }

 private:
  tl::unexpected<Error> error(const char* act) const { return tl::unexpected<Error>(sqlite_error(db_.get(), path_, act)); }

  Status commit() {
    if (sqlite3_exec(db_.get(), "COMMIT", nullptr, nullptr, nullptr) != SQLITE_OK) return rollback("write");
    return {};
  }

  tl::unexpected<Error> rollback(const char* act) {
    auto failure = error(act);  // before the rollback replaces SQLite's last error
    sqlite3_exec(db_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
    return failure;
  }

  static Result<Trial> read_trial(const Statement& row) {
    Trial t;
    t.id = row.column_integer(0);
    TRY(t.state, parse_trial_state(row.column_text(1)));
    TRY(const auto asked, parse_json(row.column_text(2)));
    TRY(t.asked, config_from_json(asked));
    TRY(const auto advice, parse_json(row.column_text(5)));
    TRY(t.advice, advice_from_json(advice));
    t.outcome.state = t.state;
    if (!row.column_null(3)) {
      TRY(const auto got, parse_json(row.column_text(3)));
      TRY(t.outcome.got, config_from_json(got));
    }
    if (!row.column_null(4)) {
      TRY(const auto metrics, parse_json(row.column_text(4)));
      TRY(const auto errors, parse_json(row.column_text(11)));
      TRY(t.outcome.metrics, metrics_from_json(metrics, errors));
    }
    t.outcome.note = row.column_text(6);
    if (!row.column_null(7)) {
      TRY(const auto notes, parse_json(row.column_text(7)));
      if (!notes.is_array()) return fail(Errc::kCorrupt, "notes is no list");
      for (const auto& note : notes) {
        if (note.is_string()) t.outcome.notes.push_back(note.get<std::string>());
      }
    }
    t.started = row.column_real(8);
    t.finished = row.column_real(9);
    t.seed = static_cast<std::uint64_t>(row.column_integer(10));
    return t;
  }

  FileLock lock_;  // outlives the database: closing any descriptor of a file drops SQLite's own locks on it
  Database db_;
  std::string path_;
};

Result<std::int64_t> pragma(sqlite3* db, const std::string& path, const char* sql) {
  Statement statement(db, sql);
  if (statement.step() != SQLITE_ROW) return tl::unexpected<Error>(sqlite_error(db, path, "open"));
  return statement.column_integer(0);
}

}  // namespace

Result<std::unique_ptr<Journal>> open_sqlite_journal(const std::string& path, OpenMode mode) {
  std::error_code ignored;
  const bool exists = fs::exists(path, ignored);
  if (exists && !fs::is_regular_file(path, ignored)) return fail(Errc::kInvalid, fmt::format("open study {}: not a file", path));
  const bool has_content = exists && fs::file_size(path, ignored) > 0;
  if (mode != OpenMode::kCreate && !has_content) {
    return fail(Errc::kNotFound, fmt::format("open study {}: {}", path, exists ? "the file is empty" : "no such file"));
  }
  auto lock = mode == OpenMode::kReadOnly ? Result<FileLock>(FileLock()) : FileLock::take(path);
  if (!lock) return tl::unexpected<Error>(lock.error());
  sqlite3* raw = nullptr;
  const int flags = mode == OpenMode::kReadOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  const int opened = sqlite3_open_v2(path.c_str(), &raw, flags, nullptr);
  Database db(raw);
  if (opened != SQLITE_OK) return tl::unexpected<Error>(sqlite_error(raw, path, "open"));
  sqlite3_busy_timeout(raw, 2000);
  TRY(const auto application, pragma(raw, path, "PRAGMA application_id"));
  TRY(const auto version, pragma(raw, path, "PRAGMA user_version"));
  if (has_content && application == 0 && version == 0) {
    // A kill between creating the file and writing the schema leaves a database without tables: still ours to fill.
    TRY(const auto tables, pragma(raw, path, "SELECT count(*) FROM sqlite_master"));
    if (tables > 0) return fail(Errc::kCorrupt, fmt::format("open study {}: an SQLite file, but not a study", path));
    if (mode != OpenMode::kCreate) return fail(Errc::kNotFound, fmt::format("open study {}: the study is empty", path));
  } else if (has_content && application != kApplicationId) {
    return fail(Errc::kCorrupt, fmt::format("open study {}: an SQLite file, but not a study", path));
  } else if (version > kSchema) {
    return fail(Errc::kUnsupported, fmt::format("open study {}: schema {}, and this program knows up to {}", path, version, kSchema),
                "use a newer polythrottle");
  }
  auto journal = std::make_unique<SqliteJournal>(std::move(db), path, std::move(*lock));
  if (mode == OpenMode::kReadOnly) return journal;
  if (mode == OpenMode::kCreate && version == kSchema) {
    TRY(const auto facts, journal->facts());
    if (!facts.empty()) {
      return fail(Errc::kInvalid, fmt::format("study {} exists", path), "add --resume to go on with it, or name another file");
    }
  }
  TRY_STATUS(journal->execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON"));
  if (version < kSchema) {
    // One transaction, so that a kill leaves either no study or a whole empty one.
    TRY_STATUS(journal->execute(fmt::format("BEGIN IMMEDIATE; {} PRAGMA application_id = {}; PRAGMA user_version = {}; COMMIT", kSchemaInit,
                                            kApplicationId, kSchema)));
  }
  return journal;
}

}  // namespace polythrottle
