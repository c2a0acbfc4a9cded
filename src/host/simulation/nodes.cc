#include "host/simulation/nodes.h"

#include <set>
#include <utility>

namespace polythrottle::simulation {
namespace {

/// The kernel gives up after 40 (ELOOP); ours are at most two deep.
constexpr int kMostLinks = 8;

}  // namespace

void NodeTree::add(const std::string& path, Node node) { nodes_[path] = std::move(node); }

void NodeTree::constant(const std::string& path, std::string content) {
  add(path, {.read = [content = std::move(content)] { return Answer{0, content}; }});
}

void NodeTree::link(const std::string& path, const std::string& target) { links_[path] = target; }

std::string NodeTree::resolve(std::string path) const {
  for (int followed = 0; followed < kMostLinks; ++followed) {
    bool changed = false;
    // The shortest prefix that is a link is the one the kernel meets first.
    for (auto slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
      const auto link = links_.find(path.substr(0, slash));
      if (link != links_.end()) {
        path = link->second + (slash == std::string::npos ? std::string() : path.substr(slash));
        changed = true;
        break;
      }
      if (slash == std::string::npos) break;
    }
    if (!changed) break;
  }
  return path;
}

const Node* NodeTree::find(const std::string& resolved) const {
  const auto node = nodes_.find(resolved);
  return node != nodes_.end() && node->second.there() ? &node->second : nullptr;
}

bool NodeTree::is_folder(const std::string& resolved) const {
  const std::string inside = resolved + "/";
  for (auto node = nodes_.lower_bound(inside); node != nodes_.end() && node->first.starts_with(inside); ++node) {
    if (node->second.there()) return true;
  }
  const auto link = links_.lower_bound(inside);
  return link != links_.end() && link->first.starts_with(inside);
}

std::vector<std::string> NodeTree::list(const std::string& resolved) const {
  const std::string inside = resolved + "/";
  std::set<std::string> names;
  const auto add = [&](const std::string& path) {
    names.insert(path.substr(inside.size(), path.find('/', inside.size()) - inside.size()));
  };
  for (auto node = nodes_.lower_bound(inside); node != nodes_.end() && node->first.starts_with(inside); ++node) {
    if (node->second.there()) add(node->first);
  }
  for (auto link = links_.lower_bound(inside); link != links_.end() && link->first.starts_with(inside); ++link) add(link->first);
  return {names.begin(), names.end()};
}

std::vector<std::string> NodeTree::alike(std::string_view path) const {
  const auto slash = path.rfind('/');
  const std::string name(slash == std::string_view::npos ? path : path.substr(slash));
  std::vector<std::string> found;
  for (const auto& [candidate, node] : nodes_) {
    if (name.size() > 1 && candidate.ends_with(name)) found.push_back(candidate);
  }
  return found;
}

}  // namespace polythrottle::simulation
