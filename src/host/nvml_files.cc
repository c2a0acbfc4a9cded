#include "host/nvml_files.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <map>
#include <mutex>
#include <optional>

#include "host/nvml.h"
#include "host/nvml_nodes.h"

namespace polythrottle {
namespace {

constexpr std::string_view kMount = "/nvml";
constexpr std::string_view kGraphicsTables = "supported_graphics_clocks";
constexpr unsigned kSysAdmin = 21;  ///< CAP_SYS_ADMIN, linux/capability.h

/// Below /nvml: GPU, node and, in a folder of nodes, its entry.
struct Place {
  std::string gpu, node, entry;
};

/// nullopt: not below /nvml.
std::optional<Place> place_of(std::string_view path) {
  if (!path.starts_with(kMount) || (path.size() > kMount.size() && path[kMount.size()] != '/')) return std::nullopt;
  path.remove_prefix(std::min(path.size(), kMount.size() + 1));
  Place place;
  for (std::string* part : {&place.gpu, &place.node}) {
    *part = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(path.size(), part->size() + 1));
  }
  place.entry = path;
  return place;
}

Error at_path(const std::string& act, Error error) {
  error.what = act + ": " + error.what;
  return error;
}

tl::unexpected<Error> missing(const std::string& act) { return fail(Errc::kNotFound, act + ": no such node"); }

std::string without_white(const std::string& text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  return first == std::string::npos ? std::string() : text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

struct Gpu {
  std::string folder;
  nvml::Device device = nullptr;
  std::optional<Error> lost;  ///< why it answers nothing
};

/// The library and its GPUs, as found once.
struct Loaded {
  std::unique_ptr<Nvml> nvml;
  std::vector<Gpu> gpus;  ///< by index
};

Result<Gpu> look_at(const Nvml& nvml, unsigned index) {
  Gpu gpu;
  TRY_STATUS(nvml.call(nvml::kHandleByIndex, index, &gpu.device));
  TRY(gpu.folder, nvml_uuid(nvml, gpu.device));
  return gpu;
}

Result<Loaded> load(const std::string& library) {
  Loaded loaded;
  TRY(loaded.nvml, Nvml::open(library));
  unsigned count = 0;
  TRY_STATUS(loaded.nvml->call(nvml::kCount, &count));
  for (unsigned i = 0; i < count; ++i) {
    auto gpu = look_at(*loaded.nvml, i);
    if (!gpu) gpu = Gpu{"index-" + std::to_string(i), nullptr, gpu.error()};  // one bad GPU must not hide the others
    loaded.gpus.push_back(std::move(*gpu));
  }
  return loaded;
}

class NvmlFiles : public Files {
 public:
  NvmlFiles(Files& base, NvmlMount mount) : base_(base), mount_(std::move(mount)) {}

  Result<std::string> read(const std::string& path) const override {
    const auto place = place_of(path);
    if (!place || recorded()) return base_.read(path);
    auto text = read_node(path, *place);
    if (!text) return tl::unexpected<Error>(at_path("read " + path, text.error()));
    return *text + "\n";
  }

  Status write(const std::string& path, const std::string& text) override {
    const auto place = place_of(path);
    if (!place || recorded()) return base_.write(path, text);
    const auto began = std::chrono::steady_clock::now();
    const auto written = write_node(path, *place, without_white(text));
    {
      const std::lock_guard guard(mutex_);
      ++totals_.count;
      totals_.time += std::chrono::steady_clock::now() - began;
    }
    if (!written) return tl::unexpected<Error>(at_path("write " + path, written.error()));
    return {};
  }

  Result<std::vector<std::string>> list(const std::string& folder) const override {
    const auto place = place_of(folder);
    if (!place) return base_.list(folder);
    auto listed = recorded() ? base_.list(folder) : list_nodes(*place);
    if (!listed && recorded() && place->gpu.empty() && listed.error().code == Errc::kNotFound) {
      return fail(Errc::kNotFound, "look for NVIDIA GPUs: this recorded machine has none");
    }
    TRY(auto names, std::move(listed));
    if (place->gpu.empty() && !mount_.gpu.empty()) return only_chosen(names);
    return names;
  }

  Status make_folder(const std::string& path) override {
    if (!place_of(path) || recorded()) return base_.make_folder(path);
    return fail(Errc::kUnsupported, "make folder " + path + ": there is no making GPUs");
  }
  Status remove_folder(const std::string& path) override {
    if (!place_of(path) || recorded()) return base_.remove_folder(path);
    return fail(Errc::kUnsupported, "remove folder " + path + ": there is no removing GPUs");
  }

  WriteTotals written() const override {
    WriteTotals totals = base_.written();
    const std::lock_guard guard(mutex_);
    totals.count += totals_.count;
    totals.time += totals_.time;
    return totals;
  }

  Status writable(const std::string& path) const override {
    const auto place = place_of(path);
    if (!place || recorded()) return base_.writable(path);
    TRY(const Loaded* loaded, look());
    TRY_STATUS(find(*loaded, place->gpu));
    const NvmlNode* node = place->entry.empty() ? node_of(place->node) : nullptr;
    if (node == nullptr) return missing("write " + path);
    if (node->write == nullptr) return fail(Errc::kPermission, "write " + path + ": it can only be read");
    if (!loaded->nvml->has(node->symbol)) {
      return fail(Errc::kUnsupported, "write " + path + ": this NVIDIA driver has no " + node->symbol, "a newer driver may have it");
    }
    return may_set("write " + path);
  }

 private:
  /// Does `base` have GPUs of its own, or is nothing else wanted?
  bool recorded() const {
    std::call_once(looked_, [this] { recorded_ = !mount_.load || base_.list(std::string(kMount)).has_value(); });
    return recorded_;
  }

  /// Loads at the first call; what came of it, also the error, holds as long as this object.
  Result<const Loaded*> look() const {
    std::call_once(loading_, [this] { loaded_ = load(mount_.library); });
    if (!loaded_) return tl::unexpected<Error>(loaded_.error());
    return &*loaded_;
  }

  static Result<const Gpu*> find(const Loaded& loaded, const std::string& folder) {
    const auto gpu = std::find_if(loaded.gpus.begin(), loaded.gpus.end(), [&](const Gpu& each) { return each.folder == folder; });
    if (gpu == loaded.gpus.end()) return fail(Errc::kNotFound, "no GPU " + folder, "nvidia-smi -L lists them");
    return &*gpu;
  }

  static const NvmlNode* node_of(std::string_view name) {
    const auto nodes = nvml_nodes();
    const auto node = std::find_if(nodes.begin(), nodes.end(), [&](const NvmlNode& each) { return each.name == name; });
    return node == nodes.end() ? nullptr : &*node;
  }

  Result<std::string> read_node(const std::string& path, const Place& place) const {
    TRY(const Loaded* loaded, look());
    TRY(const Gpu* gpu, find(*loaded, place.gpu));
    if (place.node == "index" && place.entry.empty()) return std::to_string(gpu - loaded->gpus.data());
    if (gpu->lost) return tl::unexpected<Error>(*gpu->lost);
    if (place.node == "uuid" && place.entry.empty()) return gpu->folder;
    if (place.node == kGraphicsTables) {
      unsigned mhz = 0;
      const char* const end = place.entry.data() + place.entry.size();
      const auto [at, error] = std::from_chars(place.entry.data(), end, mhz);
      if (error != std::errc{} || at != end) return missing("a memory clock in MHz");
      return nvml_graphics_clocks(*loaded->nvml, gpu->device, mhz);
    }
    const NvmlNode* node = place.entry.empty() ? node_of(place.node) : nullptr;
    if (node == nullptr) return missing("GPU " + place.gpu);
    return node->remembered() ? Result<std::string>(known(path, place.node)) : node->read(*loaded->nvml, gpu->device);
  }

  Status write_node(const std::string& path, const Place& place, const std::string& text) {
    TRY(const Loaded* loaded, look());
    TRY(const Gpu* gpu, find(*loaded, place.gpu));
    if (gpu->lost) return tl::unexpected<Error>(*gpu->lost);
    const NvmlNode* node = place.entry.empty() ? node_of(place.node) : nullptr;
    if (node == nullptr) return missing("GPU " + place.gpu);
    if (node->write == nullptr) return fail(Errc::kPermission, "it can only be read");
    TRY_STATUS(node->write(*loaded->nvml, gpu->device, text));
    if (node->remembered()) {
      const std::lock_guard guard(mutex_);
      written_[path] = text;
    }
    return {};
  }

  std::string known(const std::string& path, std::string_view node) const {
    const std::lock_guard guard(mutex_);
    if (const auto at = written_.find(path); at != written_.end()) return at->second;
    const std::string& told = node == kLockedGraphicsClocks ? mount_.found_graphics_lock : mount_.found_memory_lock;
    return told.empty() ? "unknown" : told;
  }

  Result<std::vector<std::string>> list_nodes(const Place& place) const {
    TRY(const Loaded* loaded, look());
    std::vector<std::string> names;
    if (place.gpu.empty()) {
      for (const Gpu& gpu : loaded->gpus) names.push_back(gpu.folder);
      std::sort(names.begin(), names.end());
      return names;
    }
    TRY(const Gpu* gpu, find(*loaded, place.gpu));
    if (place.node.empty()) {
      names = {"index", "uuid", std::string(kGraphicsTables)};
      for (const NvmlNode& node : nvml_nodes()) names.emplace_back(node.name);
    } else {
      if (place.node != kGraphicsTables || !place.entry.empty()) return missing("list GPU " + place.gpu);
      if (gpu->lost) return tl::unexpected<Error>(*gpu->lost);
      TRY(const std::string clocks, node_of("supported_memory_clocks")->read(*loaded->nvml, gpu->device));
      for (std::size_t at = 0; at < clocks.size();) {
        const std::size_t end = std::min(clocks.find(' ', at), clocks.size());
        names.push_back(clocks.substr(at, end - at));
        at = end + 1;
      }
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  Result<std::vector<std::string>> only_chosen(const std::vector<std::string>& names) const {
    std::map<std::string, std::string> by_index;
    for (const auto& name : names) {
      const std::string index = without_white(read(std::string(kMount) + "/" + name + "/index").value_or(""));
      if (mount_.gpu == name || mount_.gpu == index) return std::vector<std::string>{name};
      by_index[index] = name;
    }
    std::string all;
    for (const auto& [index, name] : by_index) all += (all.empty() ? "" : ", ") + index + " (" + name + ")";
    return fail(Errc::kInvalid, "--gpu " + mount_.gpu + ": no such GPU", all.empty() ? "there is none" : "there are " + all);
  }

  Status may_set(const std::string& act) const {
    const std::string status = base_.read("/proc/self/status").value_or("");
    constexpr std::string_view kLine = "CapEff:\t";
    unsigned long long effective = ::geteuid() == 0 ? ~0ULL : 0ULL;
    if (const auto at = status.find(kLine); at != std::string::npos) {
      std::from_chars(status.data() + at + kLine.size(), status.data() + status.size(), effective, 16);
    }
    if ((effective >> kSysAdmin & 1U) != 0) return {};
    return fail(Errc::kPermission, act + ": the NVIDIA driver takes it from CAP_SYS_ADMIN only",
                "run as root; in a container as root with the capability SYS_ADMIN");
  }

  Files& base_;
  const NvmlMount mount_;
  mutable std::once_flag looked_, loading_;
  mutable bool recorded_ = false;
  mutable Result<Loaded> loaded_ = fail(Errc::kNotFound, "NVML: not looked for");
  WriteTotals totals_;
  mutable std::mutex mutex_;  ///< of written_ and totals_; the library has locks of its own
  std::map<std::string, std::string> written_;
};

}  // namespace

std::unique_ptr<Files> nvml_files(Files& base, NvmlMount mount) { return std::make_unique<NvmlFiles>(base, std::move(mount)); }

}  // namespace polythrottle
