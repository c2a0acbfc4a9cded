#pragma once
// For tests: a real program with a folder of its own, watched without sleeping blindly.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <thread>

namespace polythrottle::job {

/// True as soon as `what` is; false after half a minute, which a test then fails on.
inline bool eventually(const std::function<bool()>& what) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!what()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

/// A folder that goes with it. Everybody may write into it, for a job of root's runs as nobody.
class Folder {
 public:
  Folder() {
    std::string name = std::filesystem::temp_directory_path() / "polythrottle-test-XXXXXX";
    path_ = ::mkdtemp(name.data());
    ::chmod(path_.c_str(), 0777);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  std::string read(const std::string& name) const {
    std::ifstream file(path_ + "/" + name);
    std::ostringstream out;
    out << file.rdbuf();
    return out.str();
  }
  /// The number that a program wrote there with a line end behind it; 0 while it has not.
  int number(const std::string& name) const {
    const std::string text = read(name);
    return text.ends_with("\n") ? std::stoi(text) : 0;
  }

 private:
  std::string path_;
};

/// A zombie is none.
inline bool lives(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(file, text);
  const auto end = text.rfind(')');
  return end != std::string::npos && text.size() > end + 2 && text[end + 2] != 'Z' && text[end + 2] != 'X';
}

}  // namespace polythrottle::job
