#pragma once
// What only an NVIDIA Jetson tells about itself.

#include <map>
#include <string>

#include "host/host.h"

namespace polythrottle {

/// l4t, the release of its Linux ("R35.4.1"), and power_mode, the mode of nvpmodel that was set last ("0 MAXN"): number and, where its
/// configuration names it, name. Read, never switched; what is not there is left out. nvpmodel writes the mode down even where it could not
/// set it (in a container), so this is what was asked for.
/// Sources: /etc/nv_tegra_release, /var/lib/nvpmodel/status, /etc/nvpmodel.conf of JetPack 4 to 6.
std::map<std::string, std::string> jetson_facts(const Files& files);

}  // namespace polythrottle
