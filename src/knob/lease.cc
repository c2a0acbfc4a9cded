#include "knob/lease.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <utility>

namespace polythrottle {
namespace {

using Json = nlohmann::json;

constexpr int kSchema = 1;
constexpr const char* kBootId = "/proc/sys/kernel/random/boot_id";

// --- The record ------------------------------------------------------------------------------------------------------------------

/// One knob in the record.
struct Entry {
  std::string name;
  Value found;
  std::optional<Value> asked;  ///< set when we first write it
  std::vector<FoundNode> nodes;
};

struct Record {
  std::string boot_id;
  long long pid = 0;
  long long pid_start = 0;  ///< tells a process from a later one with the same number
  double started = 0.0;     ///< Unix seconds
  std::vector<Entry> knobs;
};

std::string trimmed(const std::string& text) {
  const auto last = text.find_last_not_of(" \t\r\n");
  return last == std::string::npos ? std::string() : text.substr(0, last + 1);
}

Json to_json(const Value& value) {
  return std::visit([](const auto& held) { return Json(held); }, value);
}

std::string record_text(const Record& record) {
  Json knobs = Json::array();
  for (const auto& entry : record.knobs) {
    Json nodes = Json::array();
    for (const auto& node : entry.nodes) nodes.push_back({{"path", node.path}, {"text", node.text ? Json(*node.text) : Json()}});
    knobs.push_back({{"name", entry.name},
                     {"found", to_json(entry.found)},
                     {"asked", entry.asked ? to_json(*entry.asked) : Json()},
                     {"nodes", std::move(nodes)}});
  }
  const Json json{{"schema", kSchema},         {"boot_id", record.boot_id}, {"pid", record.pid}, {"pid_start", record.pid_start},
                  {"started", record.started}, {"knobs", std::move(knobs)}};
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::optional<Value> to_value(const Json& json) {
  if (json.is_number()) return Value(json.get<double>());
  if (json.is_string()) return Value(json.get<std::string>());
  return std::nullopt;
}

/// A record that was tampered with must not make root write just anywhere.
bool is_machine_path(const std::string& path) {
  return (path.starts_with("/sys/") || path.starts_with("/proc/sys/")) && path.find("/../") == std::string::npos && !path.ends_with("/..");
}

/// nullopt if it is not a record as we write it. nlohmann's exceptions (a wrong type, a missing member) stop here.
std::optional<Record> parse(const std::string& text) {
  try {
    const Json json = Json::parse(text);
    if (json.at("schema").get<int>() != kSchema) return std::nullopt;
    Record record{.boot_id = json.at("boot_id").get<std::string>(),
                  .pid = json.at("pid").get<long long>(),
                  .pid_start = json.at("pid_start").get<long long>(),
                  .started = json.at("started").get<double>(),
                  .knobs = {}};
    for (const Json& knob : json.at("knobs")) {
      const auto found = to_value(knob.at("found"));
      if (!found) return std::nullopt;
      Entry entry{.name = knob.at("name").get<std::string>(), .found = *found, .asked = to_value(knob.at("asked")), .nodes = {}};
      for (const Json& node : knob.at("nodes")) {
        FoundNode found_node{.path = node.at("path").get<std::string>(), .text = std::nullopt};
        if (!is_machine_path(found_node.path)) return std::nullopt;
        if (!node.at("text").is_null()) found_node.text = node.at("text").get<std::string>();
        entry.nodes.push_back(std::move(found_node));
      }
      record.knobs.push_back(std::move(entry));
    }
    return record;
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

// --- The user's own files (not the machine's: the record is real even where the machine is a fixture) -------------------------------

tl::unexpected<Error> refused(const std::string& act, int error_number) {
  Error error = system_error(act, error_number);
  if (error.code == Errc::kPermission) error.hint = "another user may own it; run as the same user as before, or as root";
  return tl::unexpected<Error>(std::move(error));
}

class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  int number() const { return number_; }

 private:
  int number_;
};

std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

/// Makes the record's folder and those above it. In a shared folder like /tmp somebody else may have prepared it: then it is refused,
/// for what is in the record is later written with our rights.
Status make_own_folder(const std::string& folder) {
  struct stat info {};
  if (::lstat(folder.c_str(), &info) != 0) {
    if (errno != ENOENT) return refused("look at " + folder, errno);
    if (folder != "/" && folder != ".") TRY_STATUS(make_own_folder(folder_of(folder)));
    if (::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) return refused("make folder " + folder, errno);
    if (::lstat(folder.c_str(), &info) != 0) return refused("look at " + folder, errno);
  }
  return {};
}

Status check_own_folder(const std::string& folder) {
  struct stat info {};
  if (::stat(folder.c_str(), &info) != 0) return refused("look at " + folder, errno);
  if (!S_ISDIR(info.st_mode)) return fail(Errc::kInvalid, "use " + folder + " for the lease record: it is no folder");
  if (info.st_uid != ::geteuid() && info.st_uid != 0) {
    return fail(Errc::kPermission, "use " + folder + " for the lease record: it belongs to user " + std::to_string(info.st_uid),
                "remove it, or set XDG_RUNTIME_DIR to a folder of your own");
  }
  return {};
}

Status sync_folder(const std::string& folder) {
  const Descriptor open(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (open.number() < 0) return refused("open " + folder, errno);
  // Some file systems cannot sync a folder (EINVAL); then there is nothing more to be had.
  if (::fsync(open.number()) != 0 && errno != EINVAL) return refused("fsync " + folder, errno);
  return {};
}

Result<std::string> read_own(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (file.number() < 0) return refused("read " + path, errno);
  std::string text;
  char part[4096];
  for (;;) {
    const ssize_t got = ::read(file.number(), part, sizeof part);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return refused("read " + path, errno);
    if (got == 0) return text;
    text.append(part, static_cast<std::size_t>(got));
  }
}

/// The whole file or, after a crash at any moment, the one that was there before; on disk when it returns.
Status write_own(const std::string& path, const std::string& text) {
  const std::string fresh = path + ".new";
  {
    const Descriptor file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));
    if (file.number() < 0) return refused("write " + fresh, errno);
    for (std::size_t done = 0; done < text.size();) {
      const ssize_t put = ::write(file.number(), text.data() + done, text.size() - done);
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return refused("write " + fresh, errno);
      done += static_cast<std::size_t>(put);
    }
    if (::fsync(file.number()) != 0) return refused("fsync " + fresh, errno);
  }
  if (::rename(fresh.c_str(), path.c_str()) != 0) return refused("rename " + fresh, errno);
  return sync_folder(folder_of(path));
}

bool exists(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0;
}

Status remove_own(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return refused("remove " + path, errno);
  return sync_folder(folder_of(path));
}

/// Keeps what cannot be read for a person to look at.
Result<std::string> put_aside(const std::string& path) {
  for (int i = 1;; ++i) {
    const std::string aside = path + ".corrupt-" + std::to_string(i);
    if (exists(aside)) continue;
    if (::rename(path.c_str(), aside.c_str()) != 0) return refused("rename " + path, errno);
    return aside;
  }
}

/// The machine's lock. Dies with its holder, whatever kills it. The file stays: removing it would let two processes lock two files of the
/// same name.
class Lock {
 public:
  static Result<Lock> take(const std::string& record_path) {
    const std::string path = record_path + ".lock";
    Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
    if (file.number() < 0) return refused("open " + path, errno);
    if (::flock(file.number(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return refused("lock " + path, errno);
      const std::string holder = trimmed(read_own(path).value_or(""));
      return fail(Errc::kBusy, "take the machine: process " + (holder.empty() ? std::string("(unknown)") : holder) + " holds it",
                  "wait for it to end, or stop it: it gives the machine back");
    }
    const std::string pid = std::to_string(::getpid()) + "\n";
    if (::ftruncate(file.number(), 0) != 0 || ::pwrite(file.number(), pid.data(), pid.size(), 0) < 0)
      return refused("write " + path, errno);
    return Lock(std::move(file));
  }
  Lock(Lock&&) = default;
  Lock& operator=(Lock&&) = default;
  ~Lock() { release(); }

  void release() {
    if (file_.number() < 0) return;
    // Only so that people see an empty file: the lock itself goes with the descriptor.
    if (::ftruncate(file_.number(), 0) != 0) {
    }
    const Descriptor closing(std::move(file_));
  }

 private:
  explicit Lock(Descriptor file) : file_(std::move(file)) {}
  Descriptor file_;
};

// --- Processes -------------------------------------------------------------------------------------------------------------------

struct ProcessState {
  char state = '?';
  long long start = 0;  ///< clock ticks after boot
};

/// From /proc/PID/stat; nullopt if there is no such process (or no such file, on a fixture).
std::optional<ProcessState> look_at_process(const Files& files, long long pid) {
  const auto text = files.read("/proc/" + std::to_string(pid) + "/stat");
  if (!text) return std::nullopt;
  // The second field is the program's name in parentheses, which may hold spaces and parentheses itself.
  const auto close = text->rfind(')');
  if (close == std::string::npos) return std::nullopt;
  std::istringstream words(text->substr(close + 1));
  ProcessState process;
  std::string word;
  words >> process.state;  // field 3
  for (int field = 4; field <= 21; ++field) words >> word;
  if (!(words >> process.start)) return std::nullopt;
  return process;
}

bool alive(const Files& files, long long pid, long long start) {
  const auto process = look_at_process(files, pid);
  return process && process->start == start && process->state != 'Z' && process->state != 'X';
}

std::string boot_id(const Files& files) { return read_trimmed(files, kBootId).value_or(""); }

// --- Putting back ----------------------------------------------------------------------------------------------------------------

bool has_text(const Entry& entry) {
  return std::any_of(entry.nodes.begin(), entry.nodes.end(), [](const auto& node) { return node.text.has_value(); });
}

/// Some nodes are answered by firmware that follows within the second: the memory clock of a Jetson.
constexpr Seconds kPatience{1.0};
constexpr Seconds kLookAgain{0.01};

/// Writes one node and reads it again.
Status put_back_node(Host& host, const FoundNode& node) {
  Files& files = host.files;
  if (!node.text) {
    const auto removed = files.remove_folder(node.path);
    if (removed || removed.error().code == Errc::kNotFound) return {};
    Error error = removed.error();
    if (error.code == Errc::kBusy) error.hint = "processes are still in it (see its cgroup.procs): end them first";
    return tl::unexpected<Error>(std::move(error));
  }
  TRY_STATUS(files.write(node.path, trimmed(*node.text)));
  TRY(std::string now, files.read(node.path));
  const auto until = host.clock.now() + kPatience;
  while (trimmed(now) != trimmed(*node.text) && host.clock.now() < until) {
    host.clock.sleep_until(host.clock.now() + kLookAgain);
    TRY(now, files.read(node.path));
  }
  if (trimmed(now) != trimmed(*node.text)) {
    return fail(Errc::kIo, "write " + node.path + ": " + trimmed(*node.text) + " was accepted, but it reads " + trimmed(now),
                "another program or the firmware may be holding it; set it by hand or reboot");
  }
  return {};
}

/// Every node, also after a refusal; the first refusal.
Status put_back_nodes(Host& host, const std::vector<FoundNode>& nodes) {
  Status first;
  for (const auto& node : nodes) {
    if (auto status = put_back_node(host, node); !status && first) first = std::move(status);
  }
  return first;
}

Status put_back_value(Knob& knob, const Value& found) {
  TRY(const Value now, knob.write(found));
  if (now != found) return fail(Errc::kIo, "set " + knob.parameter().name + " back to " + to_text(found) + ": it reads " + to_text(now));
  return {};
}

/// Puts back those with `written` set, in this order, and then once more those that failed: another setting may have been in the way of
/// theirs.
template <class PutBack>
void put_back_all(std::vector<Restored>& report, const PutBack& put_back) {
  for (int round = 0; round < 2; ++round) {
    for (std::size_t i = 0; i < report.size(); ++i) {
      if (report[i].written && (round == 0 || !report[i].status)) report[i].status = put_back(i);
    }
  }
}

bool all_back(const std::vector<Restored>& report) {
  return std::all_of(report.begin(), report.end(), [](const auto& restored) { return restored.status.has_value(); });
}

/// What the setting is now, for the report.
Value look(const Files& files, Knob* knob, const Entry& entry) {
  if (knob != nullptr) {
    if (auto value = knob->read()) return *value;
  }
  std::string text;
  for (const auto& node : entry.nodes) {
    if (!node.text) continue;
    const auto now = files.read(node.path);
    text += (text.empty() ? "" : ", ") + (now ? trimmed(*now) : now.error().what);
  }
  return text.empty() ? Value("unknown") : Value(text);
}

class RealLease : public Lease {
 public:
  RealLease(Host& host, std::vector<Knob*> knobs, Config found, Record record, std::string path, std::optional<Lock> lock)
      : host_(host),
        knobs_(std::move(knobs)),
        found_(std::move(found)),
        record_(std::move(record)),
        path_(std::move(path)),
        lock_(std::move(lock)) {}
  ~RealLease() override { (void)restore(); }
  RealLease(const RealLease&) = delete;
  RealLease& operator=(const RealLease&) = delete;

  const Config& found() const override { return found_; }

  Result<Config> apply(const Config& config) override {
    if (done_) return fail(Errc::kInvalid, "change the machine: it was already given back");
    std::vector<const KnobGroup*> written;
    for (std::size_t i = 0; i < knobs_.size(); ++i) {
      KnobGroup* const group = knobs_[i]->group();
      if (group == nullptr) {
        TRY(const auto changes, changes_of(config, {i}));
        if (changes.empty()) continue;
        TRY_STATUS(note(changes));
        TRY_STATUS(knobs_[i]->write(changes.entries().front().second));
      } else if (std::find(written.begin(), written.end(), group) == written.end()) {
        written.push_back(group);
        std::vector<std::size_t> members;
        for (std::size_t k = i; k < knobs_.size(); ++k) {
          if (knobs_[k]->group() == group) members.push_back(k);
        }
        TRY(const auto changes, changes_of(config, members));
        if (changes.empty()) continue;
        TRY_STATUS(note(changes));
        TRY_STATUS(group->write(changes));
      }
    }
    return now();
  }

  Result<Config> now() override {
    Config got;
    for (auto* knob : knobs_) {
      TRY(const Value value, knob->read());
      got.set(knob->parameter().name, value);
    }
    return got;
  }

  std::vector<Restored> restore() override {
    if (done_) return report_;
    std::vector<Restored> report;
    for (auto entry = record_.knobs.rbegin(); entry != record_.knobs.rend(); ++entry) {
      const bool moved = entry->asked.has_value();
      report.push_back({.knob = entry->name, .found = entry->found, .now = {}, .moved = moved, .written = moved, .status = {}});
    }
    const auto place = [&](std::size_t i) { return knobs_.size() - 1 - i; };
    put_back_all(report, [&](std::size_t i) {
      const Entry& entry = record_.knobs[place(i)];
      return has_text(entry) ? put_back_nodes(host_, entry.nodes) : put_back_value(*knobs_[place(i)], entry.found);
    });
    for (std::size_t i = 0; i < report.size(); ++i) report[i].now = look(host_.files, knobs_[place(i)], record_.knobs[place(i)]);
    report_ = report;
    if (!all_back(report)) return report;
    // If the record cannot be removed, a later run finds it and writes the same values once more: no harm.
    if (!knobs_.empty()) (void)remove_own(path_);
    lock_.reset();
    done_ = true;
    return report;
  }

 private:
  /// What of `config` has to be written to these knobs.
  Result<Config> changes_of(const Config& config, const std::vector<std::size_t>& places) const {
    Config changes;
    for (const std::size_t i : places) {
      const std::string& name = knobs_[i]->parameter().name;
      const auto wanted = config.get(name);
      if (!wanted) continue;
      TRY(const Value present, knobs_[i]->read());
      // The same value found is not enough: a ganged knob whose parts differ also reads as one value.
      if (record_.knobs[i].asked != wanted || present != *wanted) changes.set(name, *wanted);
    }
    return changes;
  }

  /// Says in the record that these are about to be moved.
  Status note(const Config& changes) {
    Record renewed = record_;
    bool news = false;
    for (auto& entry : renewed.knobs) {
      const auto wanted = changes.get(entry.name);
      if (!wanted || entry.asked == wanted) continue;
      entry.asked = wanted;
      news = true;
    }
    if (!news) return {};
    TRY_STATUS(write_own(path_, record_text(renewed)));
    record_ = std::move(renewed);
    return {};
  }

  Host& host_;
  std::vector<Knob*> knobs_;
  Config found_;
  Record record_;  ///< knobs in the order of knobs_
  std::string path_;
  std::optional<Lock> lock_;
  bool done_ = false;
  std::vector<Restored> report_;
};

}  // namespace

Result<std::unique_ptr<Lease>> Lease::take(Host& host, std::vector<Knob*> knobs, std::string record_path) {
  Config found;
  Record record;
  if (knobs.empty()) return std::make_unique<RealLease>(host, std::move(knobs), found, record, std::move(record_path), std::nullopt);

  const std::string folder = folder_of(record_path);
  TRY_STATUS(make_own_folder(folder));
  TRY_STATUS(check_own_folder(folder));
  TRY(Lock lock, Lock::take(record_path));
  if (exists(record_path)) {
    return fail(Errc::kCorrupt, "take the machine: an earlier run left its record " + record_path,
                "bring its settings back first: `polythrottle restore`");
  }
  record.boot_id = boot_id(host.files);
  record.pid = ::getpid();
  record.pid_start = look_at_process(host.files, record.pid).value_or(ProcessState{}).start;
  record.started = host.clock.wall_seconds();
  for (auto* knob : knobs) {
    TRY(const Value value, knob->read());
    TRY(auto nodes, knob->found_nodes());
    found.set(knob->parameter().name, value);
    record.knobs.push_back({.name = knob->parameter().name, .found = value, .asked = std::nullopt, .nodes = std::move(nodes)});
  }
  TRY_STATUS(write_own(record_path, record_text(record)));
  return std::make_unique<RealLease>(host, std::move(knobs), std::move(found), std::move(record), std::move(record_path), std::move(lock));
}

std::string default_record_path() {
  if (::geteuid() == 0) return "/run/polythrottle/lease.json";
  if (const char* runtime = std::getenv("XDG_RUNTIME_DIR"); runtime != nullptr && runtime[0] == '/') {
    return std::string(runtime) + "/polythrottle/lease.json";
  }
  return "/tmp/polythrottle-" + std::to_string(::geteuid()) + "/lease.json";
}

Result<std::vector<Restored>> recover(Host& host, std::span<Knob* const> knobs, const std::string& record_path) {
  if (!exists(record_path)) return std::vector<Restored>();
  TRY_STATUS(check_own_folder(folder_of(record_path)));
  TRY(const Lock lock, Lock::take(record_path));
  if (!exists(record_path)) return std::vector<Restored>();
  TRY(const std::string text, read_own(record_path));
  const auto record = parse(text);
  if (!record) {
    TRY(const std::string aside, put_aside(record_path));
    return fail(Errc::kCorrupt, "read the lease record " + record_path + ": it is not a record of this program",
                "it was moved to " + aside + "; settings of an earlier run may still be in force, compare them or reboot");
  }
  const bool same_boot = record->boot_id == boot_id(host.files);
  // The lock says so already, unless somebody removed its file. Our own number means a lease of ours that could not restore.
  if (same_boot && record->pid != ::getpid() && alive(host.files, record->pid, record->pid_start)) {
    return fail(Errc::kBusy, "recover the machine: process " + std::to_string(record->pid) + " holds it",
                "wait for it to end, or stop it: it gives the machine back");
  }
  std::vector<Restored> report;
  std::vector<Knob*> present;  // as in the report; null where this machine has no such knob now
  for (auto entry = record->knobs.rbegin(); entry != record->knobs.rend(); ++entry) {
    const auto at = std::find_if(knobs.begin(), knobs.end(), [&](const Knob* knob) { return knob->parameter().name == entry->name; });
    present.push_back(at == knobs.end() ? nullptr : *at);
    Restored restored{
        .knob = entry->name, .found = entry->found, .now = {}, .moved = entry->asked.has_value(), .written = false, .status = {}};
    if (same_boot && restored.moved) {
      restored.written = !entry->nodes.empty() || present.back() != nullptr;
      if (!restored.written) {
        restored.status =
            fail(Errc::kNotFound, "set " + entry->name + " back to " + to_text(entry->found) + ": this machine has no such knob now");
      }
    }
    report.push_back(std::move(restored));
  }
  const auto entry_of = [&](std::size_t i) -> const Entry& { return record->knobs[record->knobs.size() - 1 - i]; };
  put_back_all(report, [&](std::size_t i) {
    const Entry& entry = entry_of(i);
    return entry.nodes.empty() ? put_back_value(*present[i], entry.found) : put_back_nodes(host, entry.nodes);
  });
  for (std::size_t i = 0; i < report.size(); ++i) report[i].now = look(host.files, present[i], entry_of(i));
  if (all_back(report)) TRY_STATUS(remove_own(record_path));
  return report;
}

}  // namespace polythrottle
