#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string_view>

#include "host/host.h"
#include "host/open_nodes.h"

namespace polythrottle {
namespace {

tl::unexpected<Error> refused(const std::string& act, const std::string& path, int error_number) {
  Error error = system_error(act + " " + path, error_number);
  if (error_number == EROFS) {
    error.hint = "that file system is mounted read-only";
  } else if (error.code == Errc::kPermission) {
    error.hint = "run as root, or give this user access to that file";
  }
  return tl::unexpected<Error>(std::move(error));
}

/// What a process shows of itself is not kept open: "self" is another process after a fork, and a number is one for a while only.
bool of_a_process(const std::string& path) {
  constexpr std::string_view kProc = "/proc/";
  if (!path.starts_with(kProc) || path.size() == kProc.size()) return false;
  const char first = path[kProc.size()];
  return (first >= '0' && first <= '9') || path.starts_with("/proc/self/") || path.starts_with("/proc/thread-self/");
}

/// The whole content from the beginning. Answers 0 or an errno. `at_offset`: with pread(2), which makes a kernel node answer anew.
int read_whole(int descriptor, bool at_offset, std::string& text) {
  text.clear();
  char part[4096];
  for (;;) {
    const ssize_t got =
        at_offset ? ::pread(descriptor, part, sizeof part, static_cast<off_t>(text.size())) : ::read(descriptor, part, sizeof part);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    if (got == 0) return 0;
    text.append(part, static_cast<std::size_t>(got));
  }
}

class RealFiles : public Files {
 public:
  explicit RealFiles(std::string root) : root_(std::move(root)) {
    while (!root_.empty() && root_.back() == '/') root_.pop_back();
  }

  Result<std::string> read(const std::string& path) const override {
    std::string text;
    if (const auto kept = nodes_.find(path, OpenNodes::Access::kRead)) {
      const int error = read_whole(kept->number(), true, text);
      if (error == 0) return text;
      if (!is_gone(error)) return refused("read", path, error);
      nodes_.drop(path, OpenNodes::Access::kRead);
    }
    TRY(const auto file, open("read", path, O_RDONLY));
    bool keep = is_kernel_node(file->number()) && !of_a_process(path);
    int error = read_whole(file->number(), keep, text);
    if (error == ESPIPE && keep) {  // a node that only reads from front to back
      keep = false;
      error = read_whole(file->number(), false, text);
    }
    if (error != 0) return refused("read", path, error);
    if (keep) nodes_.keep(path, OpenNodes::Access::kRead, file);
    return text;
  }

  Status write(const std::string& path, const std::string& text) override {
    const auto began = std::chrono::steady_clock::now();
    auto done = write_once(path, text);
    write_nanoseconds_ += std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - began).count();
    ++writes_;
    return done;
  }

  WriteTotals written() const override { return {.count = writes_, .time = Seconds(static_cast<double>(write_nanoseconds_) * 1e-9)}; }

  Result<std::vector<std::string>> list(const std::string& folder) const override {
    DIR* open = ::opendir((root_ + folder).c_str());
    if (open == nullptr) return refused("list", folder, errno);
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(open)) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(name);
    }
    const int error = errno;
    ::closedir(open);
    if (error != 0) return refused("list", folder, error);
    std::sort(names.begin(), names.end());
    return names;
  }

  Status make_folder(const std::string& path) override {
    if (::mkdir((root_ + path).c_str(), 0755) != 0) return refused("make folder", path, errno);
    return {};
  }

  Status remove_folder(const std::string& path) override {
    nodes_.drop_below(path);
    if (::rmdir((root_ + path).c_str()) != 0) return refused("remove folder", path, errno);
    return {};
  }

  Status writable(const std::string& path) const override {
    const std::string full = root_ + path;
    struct stat info {};
    if (::stat(full.c_str(), &info) != 0) return refused("look at", path, errno);
    // Root passes access(2) on a read-only node, but sysfs still refuses to open one that has no write bit. Folders of control groups
    // carry no write bit and can be written by root all the same.
    if (S_ISREG(info.st_mode) && (info.st_mode & (S_IWUSR | S_IWGRP | S_IWOTH)) == 0) {
      return fail(Errc::kPermission, "write " + path + ": the kernel offers it read-only");
    }
    if (::faccessat(AT_FDCWD, full.c_str(), W_OK, AT_EACCESS) != 0) return refused("write", path, errno);
    return {};
  }

 private:
  Result<std::shared_ptr<const OpenFile>> open(const char* act, const std::string& path, int flags) const {
    const std::string full = root_ + path;
    int number = ::open(full.c_str(), flags | O_CLOEXEC);
    if (number < 0 && errno == EMFILE) {
      nodes_.clear();
      number = ::open(full.c_str(), flags | O_CLOEXEC);
    }
    if (number < 0) return refused(act, path, errno);
    return std::make_shared<const OpenFile>(number);
  }

  Status write_once(const std::string& path, const std::string& text) {
    // A kernel node takes a value in one call or not at all, so a short write is not continued.
    const auto judged = [&](ssize_t put) -> Status {
      if (put < 0) return refused("write", path, errno);
      if (static_cast<std::size_t>(put) == text.size()) return {};
      return fail(Errc::kIo, "write " + path + ": took " + std::to_string(put) + " of " + std::to_string(text.size()) + " bytes");
    };
    if (const auto kept = nodes_.find(path, OpenNodes::Access::kWrite)) {
      const ssize_t put = ::pwrite(kept->number(), text.data(), text.size(), 0);
      if (put >= 0 || !is_gone(errno)) return judged(put);
      nodes_.drop(path, OpenNodes::Access::kWrite);
    }
    // O_TRUNC means nothing to sysfs; on a fixture it keeps the tail of a longer old number from surviving.
    TRY(const auto file, open("write", path, O_WRONLY | O_TRUNC));
    const ssize_t put = ::write(file->number(), text.data(), text.size());
    const Status done = judged(put);
    // A node that only takes text from front to back would refuse pwrite(2).
    if (done && is_kernel_node(file->number()) && !of_a_process(path) && ::lseek(file->number(), 0, SEEK_SET) == 0) {
      nodes_.keep(path, OpenNodes::Access::kWrite, file);
    }
    return done;
  }

  std::string root_;
  mutable OpenNodes nodes_;
  std::atomic<std::uint64_t> writes_{0};
  std::atomic<std::int64_t> write_nanoseconds_{0};
};

}  // namespace

std::unique_ptr<Files> real_files(std::string root) { return std::make_unique<RealFiles>(std::move(root)); }

}  // namespace polythrottle
