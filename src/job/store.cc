#include "job/store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "job/durable_file.h"

namespace polythrottle::job {
namespace {

using nlohmann::json;

constexpr std::array kStates{State::kStarting, State::kWaiting, State::kStepping,  State::kPaused,
                             State::kDone,     State::kFailed,  State::kCancelled, State::kInterrupted};
constexpr std::size_t kSlack = 1 << 20;  ///< bytes more than are kept, before anything is done about it

std::string state_text(const Record& record) {
  json out{{"state", to_string(record.state)},
           {"kind", record.kind},
           {"steps_done", record.steps_done},
           {"submitted", record.submitted},
           {"why", record.why}};
  if (record.steps) out["steps"] = *record.steps;
  if (record.ended) out["ended"] = *record.ended;
  if (record.exit_code) out["exit_code"] = *record.exit_code;
  return out.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

template <class T>
std::optional<T> member(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) return std::nullopt;
  if constexpr (std::is_same_v<T, std::string>) {
    return found->is_string() ? std::optional(found->get<T>()) : std::nullopt;
  } else if constexpr (std::is_floating_point_v<T>) {
    return found->is_number() ? std::optional(found->get<T>()) : std::nullopt;
  } else {
    return found->is_number_integer() ? std::optional(found->get<T>()) : std::nullopt;
  }
}

bool read_state(const std::string& text, Record& record) {
  const json object = json::parse(text, nullptr, false);
  if (!object.is_object()) return false;
  const auto state = member<std::string>(object, "state"), kind = member<std::string>(object, "kind"),
             why = member<std::string>(object, "why");
  const auto submitted = member<double>(object, "submitted");
  const auto done = member<long>(object, "steps_done");
  if (!state || !kind || !why || !submitted || !done) return false;
  bool known = false;
  for (const State each : kStates) {
    if (*state != to_string(each)) continue;
    record.state = each;
    known = true;
  }
  record.kind = *kind;
  record.why = *why;
  record.submitted = *submitted;
  record.steps_done = *done;
  record.steps = member<long>(object, "steps");
  record.ended = member<double>(object, "ended");
  record.exit_code = member<int>(object, "exit_code");
  return known;
}

tl::unexpected<Error> failed(const std::string& act) { return tl::unexpected<Error>(system_error(act, errno)); }

/// Everybody may pass through: the job, which may be another user's, works further down.
Status make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0711) != 0 && errno != EEXIST) return failed("make the folder " + path);
  return {};
}

std::optional<std::uint64_t> id_of(const std::string& name) {
  std::uint64_t id = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), id);
  if (error != std::errc{} || end != name.data() + name.size() || id == 0 || std::to_string(id) != name) return std::nullopt;
  return id;
}

}  // namespace

bool is_over(State state) { return state == State::kDone || state == State::kFailed || state == State::kCancelled; }

Result<std::unique_ptr<Store>> Store::open(const std::string& folder, double now) {
  std::error_code ignored;
  const auto above = std::filesystem::path(folder).parent_path();
  if (!above.empty()) std::filesystem::create_directories(above, ignored);  // what is wrong with it the next line says
  TRY_STATUS(make_folder(folder));
  const std::string path = folder + "/lock";
  const int lock = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (lock < 0) return failed("open " + path);
  std::unique_ptr<Store> store(new Store(folder, lock));
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
    return fail(Errc::kBusy, "use the jobs in " + folder + ": another server has them", "end it, or give this one another folder");
  }
  TRY_STATUS(store->load(now));
  return store;
}

Store::~Store() { ::close(lock_); }

Status Store::load(double now) {
  std::error_code error;
  std::vector<std::string> names;
  for (auto entry = std::filesystem::directory_iterator(folder_, error); !error && entry != std::filesystem::directory_iterator();
       entry.increment(error)) {
    names.push_back(entry->path().filename());
  }
  if (error) return tl::unexpected<Error>(system_error("list " + folder_, error.value()));
  for (const std::string& name : names) {
    if (name.starts_with("new-")) std::filesystem::remove_all(folder_ + "/" + name, error);  // it was being added when the server died
    const auto id = id_of(name);
    if (!id) continue;
    last_ = std::max(last_, *id);
    auto record = load_one(*id);
    if (!record) {
      unreadable_.push_back(std::move(record.error()));
      continue;
    }
    records_[*id] = *record;
    if (is_over(record->state) || record->state == State::kInterrupted) continue;
    record->state = State::kInterrupted;
    record->why = "the server ended; 'resume' starts it again";
    record->ended = now;
    TRY_STATUS(save(*record));
  }
  return {};
}

Result<Record> Store::load_one(std::uint64_t id) const {
  Record record{.id = id};
  const std::string folder = folder_of(id);
  TRY(const std::string spec, read_small(folder + "/spec.json"));
  TRY(record.spec, parse_spec(spec));
  TRY(const std::string state, read_small(folder + "/state.json"));
  if (!read_state(state, record)) return fail(Errc::kCorrupt, "read " + folder + "/state.json: it is no state of a job");
  return record;
}

Result<Record> Store::add(const Spec& spec, double now) {
  Record record{.id = last_ + 1, .spec = spec, .submitted = now};
  // Under another name until it is whole.
  const std::string fresh = folder_ + "/new-" + std::to_string(record.id), folder = folder_of(record.id);
  const auto make = [&]() -> Status {
    TRY_STATUS(make_folder(fresh));
    TRY_STATUS(write_durably(fresh + "/spec.json", to_json(spec) + "\n"));
    TRY_STATUS(write_durably(fresh + "/state.json", state_text(record)));
    if (::rename(fresh.c_str(), folder.c_str()) != 0) return failed("rename " + fresh);
    return sync_folder(folder_);
  };
  if (auto made = make(); !made) {
    std::error_code ignored;
    std::filesystem::remove_all(fresh, ignored);
    return tl::unexpected<Error>(std::move(made.error()));
  }
  last_ = record.id;
  return records_[record.id] = std::move(record);
}

Status Store::save(const Record& record) {
  const auto found = records_.find(record.id);
  if (found == records_.end()) return fail(Errc::kNotFound, fmt::format("save job {}: there is none", record.id));
  TRY_STATUS(write_durably(folder_of(record.id) + "/state.json", state_text(record)));
  found->second = record;
  return {};
}

std::vector<Record> Store::records() const {
  std::vector<Record> out;
  for (const auto& [id, record] : records_) out.push_back(record);
  return out;
}

Result<std::string> Store::read_output(std::uint64_t id, std::size_t offset) const {
  const std::string path = output_path(id);
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (file < 0 && errno == ENOENT) return std::string();
  if (file < 0) return failed("read " + path);
  std::string out(kMostRead, '\0');
  ssize_t got = 0;
  while ((got = ::pread(file, out.data(), out.size(), static_cast<off_t>(offset))) < 0 && errno == EINTR) {
  }
  const int reason = errno;
  ::close(file);
  if (got < 0) return tl::unexpected<Error>(system_error("read " + path, reason));
  out.resize(static_cast<std::size_t>(got));
  return out;
}

Status Store::bound_output(std::uint64_t id) const {
  const std::string path = output_path(id);
  const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (file < 0 && errno == ENOENT) return {};
  if (file < 0) return failed("bound " + path);
  struct stat info {};
  int answer = ::fstat(file, &info);
  if (answer == 0 && static_cast<std::size_t>(info.st_blocks) * 512 > kOutputKept + kSlack) {
    const off_t whole = 1 << 20, surplus = (info.st_size - static_cast<off_t>(kOutputKept)) / whole * whole;
    if (surplus > 0) answer = ::fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, surplus);
    if (answer != 0 && (errno == EOPNOTSUPP || errno == ENOSYS)) answer = ::ftruncate(file, 0);
  }
  const int reason = errno;
  ::close(file);
  if (answer != 0) return tl::unexpected<Error>(system_error("bound " + path, reason));
  return {};
}

}  // namespace polythrottle::job
