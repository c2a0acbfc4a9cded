#pragma once
// Small files of ours that are whole after a crash at any moment.

#include <string>

#include "base/result.h"

namespace polythrottle::job {

/// The whole text or, after a crash at any moment or on a full disk, the one that was there before; on disk, with its folder, when this
/// returns. Only this user may read it. Errors: kPermission, kIo.
Status write_durably(const std::string& path, const std::string& text);
/// At most a megabyte. Errors: kNotFound, kPermission, kIo; kCorrupt for a link or more.
Result<std::string> read_small(const std::string& path);
/// What was made, renamed or removed in it is on disk when this returns.
Status sync_folder(const std::string& folder);

}  // namespace polythrottle::job
