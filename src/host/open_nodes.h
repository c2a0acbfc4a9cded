#pragma once
// Descriptors of kernel nodes that are kept open between accesses, so that a write costs one system call instead of three.

#include <cstddef>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace polythrottle {

/// An open file; closed when the last holder lets go, so that one thread may drop it while another still reads.
class OpenFile {
 public:
  explicit OpenFile(int number) : number_(number) {}
  ~OpenFile();
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  int number() const { return number_; }

 private:
  int number_;
};

/// Is this open file a node that the kernel answers anew on every read and write at offset 0: sysfs, debugfs, a control group, procfs?
/// Told by the file system's magic number (statfs(2)), so a fixture folder never is.
bool is_kernel_node(int descriptor);
/// May the answer to this error be another after opening the path again? A node that was removed answers ENODEV through an old descriptor
/// (fs/kernfs/file.c), EIO in debugfs (fs/debugfs/file.c) and procfs (fs/proc/inode.c); hotplug and rail gating remove and make them anew.
bool is_gone(int error_number);

/// The least recently used one makes room for a new one. Safe from several threads.
class OpenNodes {
 public:
  enum class Access { kRead, kWrite };
  /// As many as stay open: far below the usual limit of 1024 per process, above what the knobs of a machine of 64 cores touch.
  static constexpr std::size_t kMost = 256;

  explicit OpenNodes(std::size_t most = kMost) : most_(most) {}
  /// Null if there is none.
  std::shared_ptr<const OpenFile> find(const std::string& path, Access access);
  void keep(const std::string& path, Access access, std::shared_ptr<const OpenFile> descriptor);
  void drop(const std::string& path, Access access);
  /// Everything in a folder that is about to be removed.
  void drop_below(const std::string& folder);
  /// Everything: somebody else needs descriptors.
  void clear();
  std::size_t size() const;

 private:
  using Key = std::pair<std::string, Access>;
  struct Entry {
    std::shared_ptr<const OpenFile> descriptor;
    std::list<Key>::iterator place;
  };
  void erase(std::map<Key, Entry>::iterator entry);

  const std::size_t most_;
  mutable std::mutex mutex_;
  std::map<Key, Entry> entries_;
  std::list<Key> used_;  ///< latest first
};

}  // namespace polythrottle
