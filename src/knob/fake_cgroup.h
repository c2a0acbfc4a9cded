#pragma once
// Control groups for tests: what the kernel does when a group is made and when a process is moved.

#include <unistd.h>

#include <string>

#include "host/fake.h"

namespace polythrottle {

/// A machine of two CPUs whose process sits in the root group (version 1) or in a session below it (version 2).
inline void add_fake_cgroups(FakeFiles& files, int version) {
  const std::string mount = version == 1 ? "/sys/fs/cgroup/cpu" : "/sys/fs/cgroup";
  const std::string line = version == 1 ? "1:cpu:" : "0::";
  files.nodes["/sys/devices/system/cpu/online"] = "0-1\n";
  files.nodes[mount + "/cgroup.procs"] = "";
  files.folders.insert(mount);
  if (version == 1) {
    files.nodes["/proc/self/cgroup"] = "2:memory:/\n1:cpu:/\n0::/\n";
    files.nodes[mount + "/cpu.cfs_quota_us"] = "-1\n";
    files.nodes[mount + "/cpu.cfs_period_us"] = "100000\n";
  } else {
    files.nodes["/proc/self/cgroup"] = "0::/session\n";
    files.nodes[mount + "/cgroup.subtree_control"] = "cpu memory\n";
    files.nodes[mount + "/session/cgroup.procs"] = std::to_string(::getpid()) + "\n";
  }
  files.on_make_folder = [&files, version](const std::string& path) {
    files.nodes[path + "/cgroup.procs"] = "";
    if (version == 1) {
      files.nodes[path + "/cpu.cfs_quota_us"] = "-1\n";
      files.nodes[path + "/cpu.cfs_period_us"] = "100000\n";
    } else {
      files.nodes[path + "/cpu.max"] = "max 100000\n";
    }
  };
  files.on_write = [&files, mount, line](const std::string& path, const std::string&) {
    const std::string tail = "/cgroup.procs";
    if (!path.starts_with(mount) || !path.ends_with(tail)) return;
    const std::string group = path.substr(mount.size(), path.size() - mount.size() - tail.size());
    files.nodes["/proc/self/cgroup"] = "9:pids:/\n" + line + (group.empty() ? "/" : group) + "\n";
  };
}

}  // namespace polythrottle
