#pragma once
// What we use of the NVIDIA Management Library, declared by ourselves so that neither its header nor its library is needed to build.
// The header maps the plain names to versioned ones (nvmlInit is nvmlInit_v2): these are the names that the library exports.
// Source: nvml.h of NVML API version 13 (NVIDIA/go-nvml, gen/nvml/nvml.h). Sizes were compiled from it for x86-64.

#include <array>
#include <cstddef>
#include <cstdint>

namespace polythrottle::nvml {

inline constexpr const char* kLibrary = "libnvidia-ml.so.1";

/// nvmlReturn_t. A plain number, because drivers newer than we know answer codes that we do not know.
using Return = unsigned int;
inline constexpr Return kSuccess = 0;
inline constexpr Return kInsufficientSize = 7;

struct DeviceTag;
using Device = DeviceTag*;  ///< nvmlDevice_t, opaque

// nvmlClockType_t
inline constexpr unsigned kGraphicsClock = 0;
inline constexpr unsigned kSmClock = 1;
inline constexpr unsigned kMemoryClock = 2;

inline constexpr unsigned kGpuSensor = 0;       ///< nvmlTemperatureSensors_t
inline constexpr std::size_t kTextLength = 96;  ///< the longest of NVML's buffers for a name, a UUID or a version

// Bits of nvmlDeviceGetCurrentClocksEventReasons.
inline constexpr std::uint64_t kReasonApplicationsClocks = 0x2;  ///< a user's setting limits the clocks: a lock, or application clocks
inline constexpr std::uint64_t kReasonSoftwareThermal = 0x20;    ///< the driver lowers the clocks against heat
inline constexpr std::uint64_t kReasonHardwareThermal = 0x40;    ///< the hardware does, by half or more
inline constexpr std::uint64_t kReasonPowerBrake = 0x80;         ///< the power supply asked for it by its brake signal

struct Utilization {
  unsigned gpu;     ///< percent of the time in which a kernel ran
  unsigned memory;  ///< percent of the time in which memory was read or written
};
static_assert(sizeof(Utilization) == 8);

/// nvmlMemory_t, bytes.
struct Memory {
  unsigned long long total, free, used;
};
static_assert(sizeof(Memory) == 24);

/// nvmlTemperature_v1_t. The version word of a structure is its size and, in the highest byte, the number of its version.
struct Temperature {
  unsigned version = 0x0100000c;
  unsigned sensor = kGpuSensor;
  int celsius = 0;
};
static_assert(sizeof(Temperature) == 12 && (Temperature().version & 0xffffffu) == sizeof(Temperature));

struct PciInfo {
  char bus_id_legacy[16];
  unsigned domain, bus, device, device_id, subsystem_id;
  char bus_id[32];
};
static_assert(sizeof(PciInfo) == 68 && offsetof(PciInfo, bus_id) == 36);

/// nvmlValue_t and nvmlFieldValue_t: one reading by number. The caller sets `field` and `scope`, the library the rest, `result` included.
union FieldNumber {
  double as_double;
  std::uint64_t as_unsigned;
  std::int64_t as_signed;
};
struct FieldValue {
  unsigned field;
  unsigned scope;
  long long timestamp_us;  ///< of the CPU's clock, since 1970
  long long latency_us;
  unsigned
      type;  ///< nvmlValueType_t: 0 double, 1 unsigned int, 2 unsigned long, 3 unsigned long long, 4 long long, 5 int, 6 unsigned short
  Return result;
  FieldNumber value;
};
static_assert(sizeof(FieldValue) == 40 && offsetof(FieldValue, timestamp_us) == 8 && offsetof(FieldValue, type) == 24 &&
              offsetof(FieldValue, result) == 28 && offsetof(FieldValue, value) == 32);
inline constexpr unsigned kFieldTotalEnergy = 83;          ///< mJ since the driver was loaded
inline constexpr unsigned kFieldPowerAverage = 185;        ///< mW over one second
inline constexpr unsigned kFieldPowerInstant = 186;        ///< mW
inline constexpr unsigned kFieldPowerLimitMin = 187;       ///< mW
inline constexpr unsigned kFieldPowerLimitMax = 188;       ///< mW
inline constexpr unsigned kFieldPowerLimitDefault = 189;   ///< mW
inline constexpr unsigned kFieldPowerLimitEnforced = 190;  ///< mW, limits set out of band included
// Time since the driver was loaded in which the clocks were lowered, ns.
inline constexpr unsigned kFieldSoftwareThermalTime = 269;
inline constexpr unsigned kFieldHardwareThermalTime = 270;
inline constexpr unsigned kFieldPowerBrakeTime = 271;

/// An exported function and its parameters.
template <class... Parameters>
struct Function {
  const char* symbol;
};

inline constexpr Function<> kInit{"nvmlInit_v2"};
inline constexpr Function<> kShutdown{"nvmlShutdown"};
inline constexpr Function<char*, unsigned> kDriverVersion{"nvmlSystemGetDriverVersion"};
inline constexpr Function<unsigned*> kCount{"nvmlDeviceGetCount_v2"};
inline constexpr Function<unsigned, Device*> kHandleByIndex{"nvmlDeviceGetHandleByIndex_v2"};
inline constexpr Function<Device, char*, unsigned> kUuid{"nvmlDeviceGetUUID"};
inline constexpr Function<Device, char*, unsigned> kName{"nvmlDeviceGetName"};
inline constexpr Function<Device, PciInfo*> kPciInfo{"nvmlDeviceGetPciInfo_v3"};
inline constexpr Function<Device, unsigned*> kArchitecture{"nvmlDeviceGetArchitecture"};
inline constexpr Function<Device, unsigned*, unsigned*> kMemoryClocks{"nvmlDeviceGetSupportedMemoryClocks"};
inline constexpr Function<Device, unsigned, unsigned*, unsigned*> kGraphicsClocks{"nvmlDeviceGetSupportedGraphicsClocks"};
inline constexpr Function<Device, unsigned, unsigned> kLockGraphics{"nvmlDeviceSetGpuLockedClocks"};
inline constexpr Function<Device> kUnlockGraphics{"nvmlDeviceResetGpuLockedClocks"};
inline constexpr Function<Device, unsigned, unsigned> kLockMemory{"nvmlDeviceSetMemoryLockedClocks"};
inline constexpr Function<Device> kUnlockMemory{"nvmlDeviceResetMemoryLockedClocks"};
inline constexpr Function<Device, unsigned, unsigned*> kClock{"nvmlDeviceGetClockInfo"};
inline constexpr Function<Device, unsigned*> kPowerLimit{"nvmlDeviceGetPowerManagementLimit"};
inline constexpr Function<Device, unsigned*, unsigned*> kPowerLimitRange{"nvmlDeviceGetPowerManagementLimitConstraints"};
inline constexpr Function<Device, unsigned*> kPowerLimitDefault{"nvmlDeviceGetPowerManagementDefaultLimit"};
inline constexpr Function<Device, unsigned*> kPowerLimitEnforced{"nvmlDeviceGetEnforcedPowerLimit"};
inline constexpr Function<Device, unsigned> kSetPowerLimit{"nvmlDeviceSetPowerManagementLimit"};
inline constexpr Function<Device, unsigned*> kPower{"nvmlDeviceGetPowerUsage"};  ///< mW
inline constexpr Function<Device, unsigned long long*> kTotalEnergy{"nvmlDeviceGetTotalEnergyConsumption"};  ///< mJ since driver load
inline constexpr Function<Device, Memory*> kMemoryInfo{"nvmlDeviceGetMemoryInfo"};
inline constexpr Function<Device, int, FieldValue*> kFieldValues{"nvmlDeviceGetFieldValues"};
inline constexpr Function<Device, unsigned long long*> kEventReasons{"nvmlDeviceGetCurrentClocksEventReasons"};
inline constexpr Function<Device, unsigned long long*> kThrottleReasons{"nvmlDeviceGetCurrentClocksThrottleReasons"};  ///< its older name
inline constexpr Function<Device, Temperature*> kTemperature{"nvmlDeviceGetTemperatureV"};
inline constexpr Function<Device, unsigned, unsigned*> kTemperatureOld{"nvmlDeviceGetTemperature"};
inline constexpr Function<Device, Utilization*> kUtilization{"nvmlDeviceGetUtilizationRates"};
inline constexpr Function<Device, unsigned*> kPersistence{"nvmlDeviceGetPersistenceMode"};
inline constexpr Function<Device, unsigned*, unsigned*> kMigMode{"nvmlDeviceGetMigMode"};

/// All of the above, for a look at what a library has.
inline constexpr std::array kSymbols{kInit.symbol,
                                     kShutdown.symbol,
                                     kDriverVersion.symbol,
                                     kCount.symbol,
                                     kHandleByIndex.symbol,
                                     kUuid.symbol,
                                     kName.symbol,
                                     kPciInfo.symbol,
                                     kArchitecture.symbol,
                                     kMemoryClocks.symbol,
                                     kGraphicsClocks.symbol,
                                     kLockGraphics.symbol,
                                     kUnlockGraphics.symbol,
                                     kLockMemory.symbol,
                                     kUnlockMemory.symbol,
                                     kClock.symbol,
                                     kPowerLimit.symbol,
                                     kPowerLimitRange.symbol,
                                     kPowerLimitDefault.symbol,
                                     kPowerLimitEnforced.symbol,
                                     kSetPowerLimit.symbol,
                                     kPower.symbol,
                                     kTotalEnergy.symbol,
                                     kMemoryInfo.symbol,
                                     kFieldValues.symbol,
                                     kEventReasons.symbol,
                                     kThrottleReasons.symbol,
                                     kTemperature.symbol,
                                     kTemperatureOld.symbol,
                                     kUtilization.symbol,
                                     kPersistence.symbol,
                                     kMigMode.symbol};

}  // namespace polythrottle::nvml
