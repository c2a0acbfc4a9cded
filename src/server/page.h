#pragma once
// The live page, and the snapshot that it asks for.

#include <string>
#include <string_view>

#include "server/snapshot.h"

namespace polythrottle::server {

/// A whole HTML document, UTF-8, that needs nothing else from anywhere: it asks for v1/snapshot (relative to its own address) every second.
/// Where that answers 401 it asks for the token, which it sends as a bearer token and keeps in the browser tab.
std::string_view page_html();

/// The snapshot as one JSON object: its members by their names, SI units; null where nothing is known; "attainment" beside them.
std::string snapshot_json(const Snapshot& snapshot);

}  // namespace polythrottle::server
