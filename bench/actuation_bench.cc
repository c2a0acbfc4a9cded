// What a write to a kernel node costs: opened each time, or through the descriptor that Files keeps. The node is that of an empty control
// group of our own, which is removed again: cpu.cfs_quota_us (control groups v1), else cgroup.max.descendants (v2). Needs root.
//
//   actuation_bench --benchmark_enable_random_interleaving=true --benchmark_repetitions=20

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <string>

#include "host/host.h"

namespace polythrottle {
namespace {

class Group {
 public:
  Group() : files_(real_files()) {
    for (const auto& [root, name] : {std::pair{"/sys/fs/cgroup/cpu", "cpu.cfs_quota_us"}, {"/sys/fs/cgroup", "cgroup.max.descendants"}}) {
      const std::string folder = std::string(root) + "/polythrottle-bench-" + std::to_string(::getpid());
      if (!files_->make_folder(folder)) continue;
      if (files_->writable(folder + "/" + name)) {
        folder_ = folder;
        node_ = folder + "/" + name;
        return;
      }
      (void)files_->remove_folder(folder);
    }
  }
  ~Group() {
    if (!folder_.empty()) (void)files_->remove_folder(folder_);
  }
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;
  Files& files() { return *files_; }
  const std::string& node() const { return node_; }

 private:
  std::unique_ptr<Files> files_;
  std::string folder_, node_;
};

/// Two values in turn, so that every write changes something.
const std::array<std::string, 2> kValues{"20000", "30000"};

bool open_write_close(const std::string& path, const std::string& text) {
  const int file = ::open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
  const bool done = file >= 0 && ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  if (file >= 0) ::close(file);
  return done;
}

bool open_read_close(const std::string& path, std::array<char, 4096>& text) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool done = file >= 0 && ::read(file, text.data(), text.size()) > 0 && ::read(file, text.data(), text.size()) == 0;
  if (file >= 0) ::close(file);
  return done;
}

void each(benchmark::State& state, bool kept, bool write, bool read) {
  Group group;
  if (group.node().empty()) return state.SkipWithError("no control group can be made here: needs root and a writable /sys/fs/cgroup");
  std::array<char, 4096> text{};
  std::size_t turn = 0;
  for (auto _ : state) {
    bool done = true;
    if (write) {
      const std::string& value = kValues[++turn % 2];
      done = kept ? bool(group.files().write(group.node(), value)) : open_write_close(group.node(), value);
    }
    if (read) done = done && (kept ? bool(group.files().read(group.node())) : open_read_close(group.node(), text));
    if (!done) return state.SkipWithError("the node refused");
  }
}

BENCHMARK_CAPTURE(each, write_opened, false, true, false)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(each, write_kept, true, true, false)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(each, read_opened, false, false, true)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(each, read_kept, true, false, true)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(each, write_and_read_back_opened, false, true, true)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(each, write_and_read_back_kept, true, true, true)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace polythrottle
