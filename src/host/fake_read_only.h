#pragma once
// A disk that has turned read-only, for tests.

#include <sched.h>
#include <sys/mount.h>

#include <filesystem>
#include <string>

namespace polythrottle {

/// A folder that nobody can write to while this lives, root included: a read-only mount in a mount namespace of this process (and of what
/// it starts), so that nothing of it is left whatever ends the test. `works()` is false where this process may not mount.
class ReadOnlyFolder {
 public:
  explicit ReadOnlyFolder(const std::filesystem::path& folder) : path_(folder.string()) {
    mounted_ = ::unshare(CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
               ::mount(path_.c_str(), path_.c_str(), nullptr, MS_BIND, nullptr) == 0;
    works_ = mounted_ && ::mount(nullptr, path_.c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr) == 0;
  }
  ~ReadOnlyFolder() {
    if (mounted_) ::umount2(path_.c_str(), MNT_DETACH);
  }
  ReadOnlyFolder(const ReadOnlyFolder&) = delete;
  ReadOnlyFolder& operator=(const ReadOnlyFolder&) = delete;
  bool works() const { return works_; }

 private:
  std::string path_;
  bool mounted_ = false, works_ = false;
};

}  // namespace polythrottle
