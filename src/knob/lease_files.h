#pragma once
// The lease's own files: whole or as before whatever happens, and nobody else's. They are real even where the machine is a recorded one.

#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace polythrottle::lease {

/// An open file; closes it on every way out. -1 is none.
class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  int number() const { return number_; }

 private:
  int number_;
};

/// "/a" of "/a/b"; "." where there is no slash.
std::string folder_of(const std::string& path);
bool exists(const std::string& path);
/// Without white space at the end.
std::string trimmed(std::string_view text);

/// Makes the folder and those above it (mode 0755). Errors: kPermission, kIo.
Status make_folders(const std::string& folder);
/// May what lies in this folder be trusted with our rights? It must belong to this user or root, and nobody else may write to it: in a
/// shared folder such as /tmp somebody may have prepared it; a link in its place is refused. Errors: kInvalid, kPermission, kNotFound.
Status check_folder(const std::string& folder);
/// Errors: kNotFound; kPermission, also for a file that belongs to another user than this one or root, or that others may write to;
/// kCorrupt for a link, for what is no file, and for more than a megabyte.
Result<std::string> read_file(const std::string& path);
/// The whole text or, after a crash at any moment, the one that was there before; on disk, with its folder, when this returns.
/// Errors: kPermission, kIo.
Status write_file(const std::string& path, const std::string& text);
/// Gone, also from the disk; no error if it was not there.
Status remove_file(const std::string& path);
/// Keeps what cannot be used for a person to look at: renames it to PATH.aside-N and answers that name. Errors: kPermission, kIo.
Result<std::string> put_aside(const std::string& path);

}  // namespace polythrottle::lease
