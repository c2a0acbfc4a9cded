#pragma once
// A machine for tests: files in memory that can misbehave, and time that passes only when told to.

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "host/host.h"

namespace polythrottle {

/// Nodes in memory. The public members are the machine's behaviour; set them before use by several threads.
class FakeFiles : public Files {
 public:
  FakeFiles() = default;
  explicit FakeFiles(std::map<std::string, std::string> content) : nodes(std::move(content)) {}

  std::map<std::string, std::string> nodes;  ///< path and content
  std::set<std::string> folders;             ///< folders that are there even if nothing is in them
  std::map<std::string, int> refuse_read;    ///< path and errno
  std::map<std::string, int> refuse_write;   ///< path and errno; also for make_folder and remove_folder
  std::set<std::string> lie;                 ///< a write succeeds and changes nothing
  /// What a node keeps of a written text.
  std::map<std::string, std::function<std::string(const std::string&)>> keep;
  /// Called after each write that succeeded, and each folder made: what the kernel would do then. May change `nodes` and `folders`.
  std::function<void(const std::string& path, const std::string& text)> on_write;
  std::function<void(const std::string& path)> on_make_folder;
  /// Every write tried, in order: path and text.
  std::vector<std::pair<std::string, std::string>> writes;

  Result<std::string> read(const std::string& path) const override {
    const std::lock_guard lock(mutex_);
    if (const auto refusal = refuse_read.find(path); refusal != refuse_read.end()) {
      return tl::unexpected<Error>(system_error("read " + path, refusal->second));
    }
    const auto node = nodes.find(path);
    if (node == nodes.end()) return tl::unexpected<Error>(system_error("read " + path, ENOENT));
    return node->second;
  }

  Status write(const std::string& path, const std::string& text) override {
    const std::lock_guard lock(mutex_);
    writes.emplace_back(path, text);
    if (const auto refusal = refuse_write.find(path); refusal != refuse_write.end()) {
      return tl::unexpected<Error>(system_error("write " + path, refusal->second));
    }
    const auto node = nodes.find(path);
    if (node == nodes.end()) return tl::unexpected<Error>(system_error("write " + path, ENOENT));
    if (lie.contains(path)) return {};
    const auto kept = keep.find(path);
    node->second = (kept == keep.end() ? text : kept->second(text)) + "\n";
    if (on_write) on_write(path, text);
    return {};
  }

  Result<std::vector<std::string>> list(const std::string& folder) const override {
    const std::lock_guard lock(mutex_);
    if (const auto refusal = refuse_read.find(folder); refusal != refuse_read.end()) {
      return tl::unexpected<Error>(system_error("list " + folder, refusal->second));
    }
    std::set<std::string> names;
    const auto add = [&](const std::string& path) {
      if (path.size() <= folder.size() + 1 || !path.starts_with(folder) || path[folder.size()] != '/') return;
      names.insert(path.substr(folder.size() + 1, path.find('/', folder.size() + 1) - folder.size() - 1));
    };
    for (const auto& [path, text] : nodes) add(path);
    for (const auto& path : folders) add(path);
    if (names.empty() && !folders.contains(folder)) return tl::unexpected<Error>(system_error("list " + folder, ENOENT));
    return std::vector<std::string>(names.begin(), names.end());
  }

  Status make_folder(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    if (const auto refusal = refuse_write.find(path); refusal != refuse_write.end()) {
      return tl::unexpected<Error>(system_error("make folder " + path, refusal->second));
    }
    if (!folders.insert(path).second) return tl::unexpected<Error>(system_error("make folder " + path, EEXIST));
    if (on_make_folder) on_make_folder(path);
    return {};
  }

  /// As for a control group: the nodes in the folder go with it.
  Status remove_folder(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    if (const auto refusal = refuse_write.find(path); refusal != refuse_write.end()) {
      return tl::unexpected<Error>(system_error("remove folder " + path, refusal->second));
    }
    if (folders.erase(path) == 0) return tl::unexpected<Error>(system_error("remove folder " + path, ENOENT));
    std::erase_if(nodes, [&](const auto& node) { return node.first.starts_with(path + "/"); });
    return {};
  }

  Seconds write_takes{0};  ///< what `written` says a write took
  WriteTotals written() const override {
    const std::lock_guard lock(mutex_);
    return {.count = writes.size(), .time = static_cast<double>(writes.size()) * write_takes};
  }

  Status writable(const std::string& path) const override {
    const std::lock_guard lock(mutex_);
    if (const auto refusal = refuse_write.find(path); refusal != refuse_write.end()) {
      return tl::unexpected<Error>(system_error("write " + path, refusal->second));
    }
    const bool inside = std::any_of(nodes.begin(), nodes.end(), [&](const auto& node) { return node.first.starts_with(path + "/"); });
    if (!inside && !nodes.contains(path) && !folders.contains(path)) {
      return tl::unexpected<Error>(system_error("look at " + path, ENOENT));
    }
    return {};
  }

 private:
  mutable std::mutex mutex_;
};

/// A folder of the test's own, removed in the end; a copy of `original` if one is given (a fixture that may be written to).
class ScratchFolder {
 public:
  explicit ScratchFolder(const std::filesystem::path& original = {}) {
    std::string pattern = (std::filesystem::temp_directory_path() / "polythrottle-test-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot make " + pattern);
    path_ = pattern;
    if (!original.empty()) std::filesystem::copy(original, path_, std::filesystem::copy_options::recursive);
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// Virtual time, for one thread. Starts at 0; `sleep_until` and `advance` move it, and what is due on the way is called at its time.
class FakeClock : public Clock {
 public:
  double busy_cpus = 0.0;  ///< CPU time that passes per second of time
  Seconds cpu{0};          ///< what process_cpu answers; add to it, or let busy_cpus do so
  double epoch = 1.7e9;    ///< wall_seconds at the start

  TimePoint now() const override { return TimePoint(now_); }
  double wall_seconds() const override { return epoch + now_.count(); }
  Seconds process_cpu() const override { return cpu; }
  void sleep_until(TimePoint when) override { advance(when.time_since_epoch() - now_); }

  std::unique_ptr<Ticker> every(Seconds period, std::function<void()> fn) override {
    auto event = std::make_shared<Event>(Event{now_, period, 1, std::move(fn), false});
    events_.push_back(event);
    return std::make_unique<FakeTicker>(std::move(event));
  }

  /// Lets `time` pass. Called from within a periodic call it only moves the time.
  void advance(Seconds time) {
    const Seconds end = now_ + std::max(time, Seconds(0));
    while (!firing_) {
      std::erase_if(events_, [](const auto& event) { return event->stopped; });
      std::shared_ptr<Event> next;
      for (const auto& event : events_) {
        if (event->due() <= end && (!next || event->due() < next->due())) next = event;
      }
      if (!next) break;
      move_to(next->due());
      ++next->step;
      firing_ = true;
      next->fn();
      firing_ = false;
    }
    move_to(end);
  }

 private:
  struct Event {
    Seconds start;
    Seconds period;
    long step;
    std::function<void()> fn;
    bool stopped;
    Seconds due() const { return start + static_cast<double>(step) * period; }
  };
  class FakeTicker : public Ticker {
   public:
    explicit FakeTicker(std::shared_ptr<Event> event) : event_(std::move(event)) {}
    ~FakeTicker() override { event_->stopped = true; }

   private:
    std::shared_ptr<Event> event_;
  };

  void move_to(Seconds time) {
    if (time <= now_) return;
    cpu += busy_cpus * (time - now_);
    now_ = time;
  }

  Seconds now_{0};
  bool firing_ = false;
  std::vector<std::shared_ptr<Event>> events_;
};

}  // namespace polythrottle
