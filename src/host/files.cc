#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "host/host.h"

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

/// Closes on every way out.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }

 private:
  int number_;
};

class RealFiles : public Files {
 public:
  explicit RealFiles(std::string root) : root_(std::move(root)) {
    while (!root_.empty() && root_.back() == '/') root_.pop_back();
  }

  Result<std::string> read(const std::string& path) const override {
    const Descriptor file(::open((root_ + path).c_str(), O_RDONLY | O_CLOEXEC));
    if (file.number() < 0) return refused("read", path, errno);
    std::string text;
    char part[4096];
    for (;;) {
      const ssize_t got = ::read(file.number(), part, sizeof part);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return refused("read", path, errno);
      if (got == 0) return text;
      text.append(part, static_cast<std::size_t>(got));
    }
  }

  Status write(const std::string& path, const std::string& text) override {
    // O_TRUNC means nothing to sysfs; on a fixture it keeps the tail of a longer old number from surviving.
    const Descriptor file(::open((root_ + path).c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC));
    if (file.number() < 0) return refused("write", path, errno);
    // A kernel node takes a value in one call or not at all, so a short write is not continued.
    const ssize_t put = ::write(file.number(), text.data(), text.size());
    if (put < 0) return refused("write", path, errno);
    if (static_cast<std::size_t>(put) != text.size()) {
      return fail(Errc::kIo, "write " + path + ": took " + std::to_string(put) + " of " + std::to_string(text.size()) + " bytes");
    }
    return {};
  }

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
  std::string root_;
};

}  // namespace

std::unique_ptr<Files> real_files(std::string root) { return std::make_unique<RealFiles>(std::move(root)); }

}  // namespace polythrottle
