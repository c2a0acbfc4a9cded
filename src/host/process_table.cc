#include "host/process_table.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace polythrottle {
namespace {

/// As getdents64(2) writes it; the C library has no such type of its own.
struct DirectoryEntry {
  std::uint64_t inode;
  std::int64_t offset;
  unsigned short length;
  unsigned char type;
  char name[1];
};
constexpr std::size_t kName = offsetof(DirectoryEntry, name), kLength = offsetof(DirectoryEntry, length);

/// Digits up to whatever follows; -1: there are none.
pid_t number_in(const char* text) {
  if (*text < '0' || *text > '9') return -1;
  long number = 0;
  for (; *text >= '0' && *text <= '9' && number < 100'000'000; ++text) number = 10 * number + (*text - '0');
  return static_cast<pid_t>(number);
}

bool read_entry(int proc, const char* name, ProcessEntry& out) {
  char path[32];
  const std::size_t length = std::strlen(name);
  if (length > 16) return false;
  std::memcpy(path, name, length);
  std::memcpy(path + length, "/stat", sizeof "/stat");
  const int file = ::openat(proc, path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;  // it has ended meanwhile
  char text[512];
  const ssize_t size = ::read(file, text, sizeof text - 1);
  ::close(file);
  if (size <= 0) return false;
  text[size] = '\0';
  // The name may hold anything, closing brackets too; what follows the last one does not.
  const char* rest = std::strrchr(text, ')');
  if (rest == nullptr || rest[1] != ' ' || rest[2] == '\0' || rest[3] != ' ') return false;
  out.state = rest[2];
  out.parent = number_in(rest + 4);
  return out.parent >= 0;
}

}  // namespace

bool visit_processes(void (*visit)(const ProcessEntry&, void*), void* with) {
  const int proc = ::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (proc < 0) return false;
  alignas(8) char bytes[8192];
  for (long got = 0; (got = ::syscall(SYS_getdents64, proc, bytes, sizeof bytes)) > 0;) {
    for (long at = 0; at < got;) {
      unsigned short length = 0;
      std::memcpy(&length, bytes + at + kLength, sizeof length);
      const char* name = bytes + at + kName;
      ProcessEntry entry{.pid = number_in(name)};
      if (entry.pid > 0 && read_entry(proc, name, entry)) visit(entry, with);
      at += length;
    }
  }
  ::close(proc);
  return true;
}

std::vector<ProcessEntry> descendants(pid_t root) {
  std::vector<ProcessEntry> all;
  visit_processes([](const ProcessEntry& entry, void* to) { static_cast<std::vector<ProcessEntry>*>(to)->push_back(entry); }, &all);
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.parent < b.parent; });
  std::vector<ProcessEntry> out;
  const auto add_children = [&](pid_t parent) {
    const auto less = [](const ProcessEntry& entry, pid_t value) { return entry.parent < value; };
    for (auto child = std::lower_bound(all.begin(), all.end(), parent, less); child != all.end() && child->parent == parent; ++child) {
      out.push_back(*child);
    }
  };
  add_children(root);
  // A table that changed while it was read may have a ring in it: nobody appears more often than there are processes.
  for (std::size_t i = 0; i < out.size() && out.size() <= all.size(); ++i) add_children(out[i].pid);
  return out;
}

}  // namespace polythrottle
