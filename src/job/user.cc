#include "job/user.h"

#include <algorithm>
#include <charconv>
#include <sstream>
#include <string_view>

namespace polythrottle::job {
namespace {

constexpr unsigned kOverflow = 65534;  ///< what the kernel and every distribution call nobody

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> out;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) out.push_back(part);
  return out;
}

std::optional<unsigned> number(std::string_view text) {
  unsigned out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return out;
}

/// name:password:uid:gid:gecos:home:shell of the line for which `wanted` says yes.
template <class Wanted>
std::optional<User> in_passwd(const Files& files, Wanted wanted) {
  for (const std::string& line : split(files.read("/etc/passwd").value_or(""), '\n')) {
    const auto fields = split(line, ':');
    if (fields.size() < 6) continue;
    const auto uid = number(fields[2]), gid = number(fields[3]);
    if (!uid || !gid || !wanted(fields[0], *uid)) continue;
    return User{.uid = *uid, .gid = *gid, .groups = {*gid}, .name = fields[0], .home = fields[5]};
  }
  return std::nullopt;
}

/// name:password:gid:member,member
void add_groups(const Files& files, User& user) {
  for (const std::string& line : split(files.read("/etc/group").value_or(""), '\n')) {
    const auto fields = split(line, ':');
    if (fields.size() < 4) continue;
    const auto gid = number(fields[2]);
    const auto members = split(fields[3], ',');
    // Group 0 is a right of root's in many places.
    if (!gid || *gid == 0 || std::find(members.begin(), members.end(), user.name) == members.end()) continue;
    if (std::find(user.groups.begin(), user.groups.end(), *gid) == user.groups.end()) user.groups.push_back(*gid);
  }
}

}  // namespace

Result<std::optional<User>> job_user(const Files& files, uid_t effective, const char* sudo_uid, const char* sudo_gid) {
  if (effective != 0) return std::nullopt;
  if (sudo_uid == nullptr || std::string_view(sudo_uid) == "0") {
    auto nobody = in_passwd(files, [](const std::string& name, unsigned uid) { return name == "nobody" && uid != 0; });
    return nobody.value_or(User{.uid = kOverflow, .gid = kOverflow, .groups = {kOverflow}, .name = "nobody"});
  }
  const auto uid = number(sudo_uid), gid = number(sudo_gid != nullptr ? sudo_gid : sudo_uid);
  if (!uid || !gid || *uid == 0 || *uid == static_cast<uid_t>(-1) || *gid == static_cast<gid_t>(-1)) {
    return fail(Errc::kInvalid, "run the job as the user who called sudo: SUDO_UID or SUDO_GID is no user",
                "unset both, and it runs as nobody");
  }
  auto user = in_passwd(files, [&](const std::string&, unsigned listed) { return listed == *uid; }).value_or(User{.uid = *uid});
  user.gid = *gid;
  user.groups = {*gid};
  if (!user.name.empty()) add_groups(files, user);
  return user;
}

}  // namespace polythrottle::job
