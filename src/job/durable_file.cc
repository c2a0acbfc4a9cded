#include "job/durable_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

namespace polythrottle::job {
namespace {

constexpr std::size_t kMostBytes = 1 << 20;

class File {
 public:
  explicit File(int number) : number_(number) {}
  ~File() { (void)close(); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int number() const { return number_; }
  /// Some file systems tell only here that the disk is full.
  bool close() { return number_ < 0 || ::close(std::exchange(number_, -1)) == 0; }

 private:
  int number_;
};

tl::unexpected<Error> failed(const std::string& act, int reason) {
  Error error = system_error(act, reason);
  if (reason == ENOSPC || reason == EDQUOT) error.hint = "make room there; what stood there before is kept";
  return tl::unexpected<Error>(std::move(error));
}

Status write_all(const std::string& path, const std::string& text) {
  File file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (file.number() < 0) return failed("write " + path, errno);
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t put = ::write(file.number(), text.data() + done, text.size() - done);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return failed("write " + path, errno);
    done += static_cast<std::size_t>(put);
  }
  if (::fsync(file.number()) != 0 || !file.close()) return failed("write " + path, errno);
  return {};
}

}  // namespace

Status sync_folder(const std::string& folder) {
  const File open(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (open.number() < 0) return failed("open " + folder, errno);
  // Some file systems cannot sync a folder (EINVAL); then there is nothing more to be had.
  if (::fsync(open.number()) != 0 && errno != EINVAL) return failed("fsync " + folder, errno);
  return {};
}

Status write_durably(const std::string& path, const std::string& text) {
  const std::string fresh = path + ".new";
  if (auto written = write_all(fresh, text); !written) {
    ::unlink(fresh.c_str());
    return written;
  }
  if (::rename(fresh.c_str(), path.c_str()) != 0) return failed("rename " + fresh, errno);
  return sync_folder(path.substr(0, path.rfind('/')));
}

Result<std::string> read_small(const std::string& path) {
  const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (file.number() < 0 && errno == ELOOP) return fail(Errc::kCorrupt, "read " + path + ": it is a link");
  if (file.number() < 0) return failed("read " + path, errno);
  std::string text;
  char part[4096];
  for (;;) {
    const ssize_t got = ::read(file.number(), part, sizeof part);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed("read " + path, errno);
    if (got == 0) return text;
    text.append(part, static_cast<std::size_t>(got));
    if (text.size() > kMostBytes) return fail(Errc::kCorrupt, "read " + path + ": it is too long");
  }
}

}  // namespace polythrottle::job
