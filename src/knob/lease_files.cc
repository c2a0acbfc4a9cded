#include "knob/lease_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace polythrottle::lease {
namespace {

constexpr std::size_t kMostBytes = 1 << 20;  ///< of a file of ours; a record has some ten thousand

tl::unexpected<Error> refused(const std::string& act, int error_number) {
  Error error = system_error(act, error_number);
  if (error.code == Errc::kPermission) error.hint = "another user may own it; run as the same user as before, or as root";
  if (error_number == EROFS) error.hint = "without a record on disk nothing is moved; make that file system writable";
  return tl::unexpected<Error>(std::move(error));
}

/// Written by nobody but this user and root?
bool is_own(const struct stat& info) {
  return (info.st_uid == ::geteuid() || info.st_uid == 0) && (info.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

Status sync_folder(const std::string& folder) {
  const Descriptor open(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (open.number() < 0) return refused("open " + folder, errno);
  // Some file systems cannot sync a folder (EINVAL); then there is nothing more to be had.
  if (::fsync(open.number()) != 0 && errno != EINVAL) return refused("fsync " + folder, errno);
  return {};
}

}  // namespace

Descriptor::~Descriptor() {
  if (number_ >= 0) ::close(number_);
}

std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

bool exists(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0;
}

std::string trimmed(std::string_view text) {
  const auto last = text.find_last_not_of(" \t\r\n");
  return std::string(text.substr(0, last == std::string_view::npos ? 0 : last + 1));
}

Status make_folders(const std::string& folder) {
  if (exists(folder)) return {};
  const std::string above = folder_of(folder);
  if (above != folder && above != ".") TRY_STATUS(make_folders(above));
  if (::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) return refused("make folder " + folder, errno);
  return {};
}

Status check_folder(const std::string& folder) {
  struct stat info {};
  if (::lstat(folder.c_str(), &info) != 0) return refused("look at " + folder, errno);
  const std::string act = "use " + folder + " for the lease record: ";
  if (S_ISLNK(info.st_mode)) {
    return fail(Errc::kInvalid, act + "it is a link", "put a folder there: whoever made the link says where it leads");
  }
  if (!S_ISDIR(info.st_mode)) return fail(Errc::kInvalid, act + "it is no folder");
  if (!is_own(info)) {
    return fail(Errc::kPermission, act + "it belongs to user " + std::to_string(info.st_uid) + ", or others may write to it",
                "it must be yours alone (mode 755); remove it, or as a user other than root set XDG_RUNTIME_DIR");
  }
  return {};
}

Result<std::string> read_file(const std::string& path) {
  // Not blocking: somebody may have put a pipe there.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (file.number() < 0 && errno == ELOOP) return fail(Errc::kCorrupt, "read " + path + ": it is a link");
  if (file.number() < 0) return refused("read " + path, errno);
  struct stat info {};
  if (::fstat(file.number(), &info) != 0) return refused("look at " + path, errno);
  if (!S_ISREG(info.st_mode)) return fail(Errc::kCorrupt, "read " + path + ": it is no file");
  if (!is_own(info)) {
    return fail(Errc::kPermission, "read " + path + ": it belongs to user " + std::to_string(info.st_uid) + ", or others may write to it");
  }
  std::string text;
  char part[4096];
  for (;;) {
    const ssize_t got = ::read(file.number(), part, sizeof part);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return refused("read " + path, errno);
    if (got == 0) return text;
    text.append(part, static_cast<std::size_t>(got));
    if (text.size() > kMostBytes) return fail(Errc::kCorrupt, "read " + path + ": it is too long");
  }
}

Status write_file(const std::string& path, const std::string& text) {
  const std::string fresh = path + ".new";
  {
    const Descriptor file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));
    if (file.number() < 0) return refused("write " + fresh, errno);
    // Whatever the umask: nobody else writes to it.
    if (::fchmod(file.number(), 0644) != 0) return refused("set the mode of " + fresh, errno);
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

Status remove_file(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return refused("remove " + path, errno);
  return sync_folder(folder_of(path));
}

Result<std::string> put_aside(const std::string& path) {
  for (int i = 1;; ++i) {
    const std::string aside = path + ".aside-" + std::to_string(i);
    if (exists(aside)) continue;
    if (::rename(path.c_str(), aside.c_str()) != 0) return refused("rename " + path, errno);
    TRY_STATUS(sync_folder(folder_of(path)));
    return aside;
  }
}

}  // namespace polythrottle::lease
