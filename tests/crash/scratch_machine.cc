#include "crash/scratch_machine.h"

#include <filesystem>
#include <fstream>
#include <sstream>

namespace polythrottle::crash {
namespace {

namespace fs = std::filesystem;
constexpr const char* kOurs = "var/lib/polythrottle";

std::string content(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  std::string out = text.str();
  out.erase(out.find_last_not_of(" \t\r\n") + 1);
  return out;
}

std::string shown(const Picture& picture, const std::string& path) {
  const auto at = picture.find(path);
  if (at == picture.end()) return "nothing";
  const auto& [kind, text] = at->second;
  return kind == 'd' ? "a folder" : kind == 'l' ? "a link to " + text : text;
}

}  // namespace

Picture look_at_tree(const std::string& root) {
  Picture out;
  for (auto entry = fs::recursive_directory_iterator(root); entry != fs::recursive_directory_iterator(); ++entry) {
    const std::string path = entry->path().lexically_relative(root).string();
    if (path == kOurs) {
      entry.disable_recursion_pending();
    } else if (entry->is_symlink()) {
      out[path] = {'l', fs::read_symlink(entry->path()).string()};
    } else if (entry->is_directory()) {
      out[path] = {'d', ""};
    } else {
      out[path] = {'f', content(entry->path())};
    }
  }
  return out;
}

std::vector<std::string> differences(const Picture& found, const Picture& now) {
  std::vector<std::string> out;
  Picture all = found;
  all.insert(now.begin(), now.end());
  for (const auto& [path, ignored] : all) {
    const auto a = found.find(path), b = now.find(path);
    if (a != found.end() && b != now.end() && a->second == b->second) continue;
    out.push_back(path + ": found " + shown(found, path) + ", now " + shown(now, path));
  }
  return out;
}

ScratchMachine::ScratchMachine(const std::string& fixture, const std::string& folder) : fixture_(fixture), root_(folder + "/root") {
  renew();
  found_ = look_at_tree(root_);
}

void ScratchMachine::renew() {
  fs::remove_all(root_);
  fs::copy(fixture_, root_, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  fs::create_directories(fs::path(root_) / kOurs);  // from the start, so that the folders above our own are no difference
}

}  // namespace polythrottle::crash
