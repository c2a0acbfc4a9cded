#include "host/nvml.h"

#if !POLYTHROTTLE_STATIC
#include <dlfcn.h>
#endif

#include <algorithm>
#include <array>

namespace polythrottle {
namespace {

struct Row {
  nvml::Return code;
  Errc errc;
  const char* words;
  const char* hint;
};

constexpr const char* kRoot = "run as root; in a container as root with the capability SYS_ADMIN";
constexpr const char* kReboot = "look for Xid in the kernel's log; reset the GPU (nvidia-smi --gpu-reset) or reboot";
constexpr const char* kNewerDriver = "a newer NVIDIA driver may have it";

/// nvmlReturn_t, in its order.
constexpr std::array kRows{
    Row{1, Errc::kIo, "the library was not initialised", ""},
    Row{2, Errc::kInvalid, "an argument is not allowed", ""},
    Row{3, Errc::kUnsupported, "this GPU does not support it", ""},
    Row{4, Errc::kPermission, "no permission", kRoot},
    Row{5, Errc::kIo, "the library is initialised already", ""},
    Row{6, Errc::kNotFound, "not found", ""},
    Row{7, Errc::kIo, "the driver wants to say more than there is room for", ""},
    Row{8, Errc::kIo, "the GPU lacks external power", "check its power cables"},
    Row{9, Errc::kNotFound, "the NVIDIA driver is not loaded", "load it (modprobe nvidia), or install it for this kernel"},
    Row{10, Errc::kTimeout, "the driver did not answer in time", kReboot},
    Row{11, Errc::kIo, "the kernel found an interrupt problem with a GPU", kReboot},
    Row{12, Errc::kNotFound, "a library that NVML needs is missing", "install the NVIDIA driver again"},
    Row{13, Errc::kUnsupported, "this driver does not have the function", kNewerDriver},
    Row{14, Errc::kCorrupt, "the GPU's infoROM is corrupted", "see nvidia-smi -q; the GPU may need repair"},
    Row{15, Errc::kIo, "the GPU is lost: it fell off the bus or cannot be reached", kReboot},
    Row{16, Errc::kIo, "the GPU needs a reset before it can be used", kReboot},
    Row{17, Errc::kPermission, "the operating system blocks the GPU's control device",
        "in a container, hand in /dev/nvidiactl and /dev/nvidia*, and the capability SYS_ADMIN"},
    Row{18, Errc::kUnsupported, "the driver's library and its kernel module are of different versions",
        "an update of the driver is half done: reboot"},
    Row{19, Errc::kBusy, "the GPU is in use", "end what runs on it, then try again"},
    Row{20, Errc::kIo, "out of memory", ""},
    Row{21, Errc::kNotFound, "no data", ""},
    Row{22, Errc::kUnsupported, "not while ECC is on for a virtual GPU", ""},
    Row{23, Errc::kIo, "the GPU is out of some resource other than memory", "end what runs on it, then try again"},
    Row{24, Errc::kOutOfRange, "the GPU does not support this clock", ""},
    Row{25, Errc::kUnsupported, "this driver does not know that version of a structure", kNewerDriver},
    Row{26, Errc::kUnsupported, "this driver no longer has the function", ""},
    Row{27, Errc::kBusy, "the system is not ready for it", "try again in a moment"},
    Row{28, Errc::kNotFound, "there is no such GPU", "nvidia-smi -L lists them"},
    Row{29, Errc::kBusy, "the GPU is in a state that does not allow it", "see nvidia-smi -q"},
    Row{30, Errc::kUnsupported, "this GPU does not support this kind of reset", ""},
    Row{999, Errc::kIo, "the driver failed inside", kReboot},
};

#if !POLYTHROTTLE_STATIC
/// No library of that name, said apart from one that is there and does not load.
Error load_error(const std::string& library) {
  const char* const said = dlerror();
  const std::string words = said == nullptr ? "failed" : said;
  if (words.find("cannot open shared object file: No such file") != std::string::npos) {
    return {Errc::kNotFound, "look for NVIDIA GPUs: no " + library,
            "it comes with the NVIDIA driver: install that where there is such a GPU"};
  }
  return {Errc::kUnsupported, "load " + library + ": " + words, {}};
}
#endif

}  // namespace

Error nvml_error(const std::string& act, nvml::Return code) {
  const auto row = std::find_if(kRows.begin(), kRows.end(), [&](const Row& each) { return each.code == code; });
  const std::string number = " (NVML error " + std::to_string(code) + ")";
  if (row == kRows.end()) return {Errc::kIo, act + ": the driver gave a reason this program does not know" + number, {}};
  return {row->errc, act + ": " + row->words + number, row->hint};
}

std::optional<std::uint64_t> whole_number(const nvml::FieldValue& reading) {
  switch (reading.type) {
    case 1: {  // the library need not have cleared the rest of the union
      std::uint32_t value = 0;
      std::memcpy(&value, &reading.value, sizeof value);
      return value;
    }
    case 2:
    case 3: return reading.value.as_unsigned;
    case 4: return reading.value.as_signed < 0 ? std::nullopt : std::optional(reading.value.as_unsigned);
    case 6: {
      std::uint16_t value = 0;
      std::memcpy(&value, &reading.value, sizeof value);
      return value;
    }
    default: return std::nullopt;
  }
}

#if POLYTHROTTLE_STATIC

Result<std::unique_ptr<Nvml>> Nvml::open(const std::string& library) {
  return fail(Errc::kUnsupported, "load " + library + ": this static build loads no libraries",
              "use the dynamic build for NVIDIA GPUs that are not part of a Jetson");
}
Nvml::~Nvml() = default;
void* Nvml::find(const char*) const { return nullptr; }

#else

Result<std::unique_ptr<Nvml>> Nvml::open(const std::string& library) {
  void* const handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return tl::unexpected<Error>(load_error(library));
  // Never closed: a library with threads and statics of its own, of which a process needs one for all its life.
  std::unique_ptr<Nvml> nvml(new Nvml(handle));
  if (const auto begun = nvml->call(nvml::kInit); !begun) {
    nvml->library_ = nullptr;  // there is nothing to shut down
    return tl::unexpected<Error>(begun.error());
  }
  return nvml;
}

Nvml::~Nvml() {
  if (library_ != nullptr) (void)call(nvml::kShutdown);
}

void* Nvml::find(const char* symbol) const { return dlsym(library_, symbol); }

#endif

tl::unexpected<Error> Nvml::lacking(const char* symbol) {
  return fail(Errc::kUnsupported, std::string(symbol) + ": the NVIDIA driver's library does not have it", kNewerDriver);
}

}  // namespace polythrottle
