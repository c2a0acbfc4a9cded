#include "host/open_nodes.h"

#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>

namespace polythrottle {
namespace {

/// As include/uapi/linux/magic.h has them: sysfs, debugfs, control groups v1 and v2, procfs.
constexpr std::array<std::uint32_t, 5> kKernelFileSystems{0x62656572, 0x64626720, 0x27e0eb, 0x63677270, 0x9fa0};

}  // namespace

OpenFile::~OpenFile() {
  if (number_ >= 0) ::close(number_);
}

bool is_kernel_node(int descriptor) {
  struct statfs info {};
  if (::fstatfs(descriptor, &info) != 0) return false;
  const auto magic = static_cast<std::uint32_t>(info.f_type);
  return std::find(kKernelFileSystems.begin(), kKernelFileSystems.end(), magic) != kKernelFileSystems.end();
}

bool is_gone(int error_number) {
  return error_number == ENODEV || error_number == ESTALE || error_number == ENOENT || error_number == EBADF || error_number == EIO;
}

std::shared_ptr<const OpenFile> OpenNodes::find(const std::string& path, Access access) {
  const std::lock_guard lock(mutex_);
  const auto entry = entries_.find({path, access});
  if (entry == entries_.end()) return nullptr;
  used_.splice(used_.begin(), used_, entry->second.place);
  return entry->second.descriptor;
}

void OpenNodes::keep(const std::string& path, Access access, std::shared_ptr<const OpenFile> descriptor) {
  const std::lock_guard lock(mutex_);
  const Key key{path, access};
  if (const auto old = entries_.find(key); old != entries_.end()) erase(old);
  while (!entries_.empty() && entries_.size() >= most_) erase(entries_.find(used_.back()));
  used_.push_front(key);
  entries_.emplace(key, Entry{std::move(descriptor), used_.begin()});
}

void OpenNodes::drop(const std::string& path, Access access) {
  const std::lock_guard lock(mutex_);
  if (const auto entry = entries_.find({path, access}); entry != entries_.end()) erase(entry);
}

void OpenNodes::drop_below(const std::string& folder) {
  const std::lock_guard lock(mutex_);
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    const auto next = std::next(entry);
    if (entry->first.first.starts_with(folder + "/")) erase(entry);
    entry = next;
  }
}

void OpenNodes::clear() {
  const std::lock_guard lock(mutex_);
  entries_.clear();
  used_.clear();
}

std::size_t OpenNodes::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

void OpenNodes::erase(std::map<Key, Entry>::iterator entry) {
  used_.erase(entry->second.place);
  entries_.erase(entry);
}

}  // namespace polythrottle
