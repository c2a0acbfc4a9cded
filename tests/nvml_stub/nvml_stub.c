/* A stand-in for libnvidia-ml.so.1 on machines without a GPU: two made-up GPUs whose clocks follow their locks and their power limit.
 *
 * Names, codes and structures are those of nvml.h of NVML API version 13; everything the GPUs answer is invented.
 * POLYTHROTTLE_NVML_STUB holds words separated by commas, read at every call:
 *   persistence      persistence mode is on: locks and limits outlive the last process that has NVML open
 *   mig              MIG is on
 *   load             the GPUs are busy: clocks go as high as lock and power limit allow. Otherwise they idle
 *   lie              locks are accepted and not obeyed
 *   gpus=N           how many of the GPUs there are (2)
 *   fixed            the power limit cannot be moved: its constraints are equal
 *   reasons=HEX      further clocks event reasons
 *   slowdown=N       time in N ns of each kind of slowdown since the driver was loaded
 *   counter=PERCENT  the energy counter says so much of what the power adds up to (100)
 *   power=MW         the power that is reported instead of the GPUs' own; counted all the same
 *   lost=INDEX@N     from the N-th call that names this GPU on (in this process), it is lost
 *   FUNCTION=CODE    this function answers this code and does nothing else
 * POLYTHROTTLE_NVML_STUB_STATE names a file that holds the GPUs' settings, so that several processes see the same; without it they are
 * this process's own. As with the real driver, without persistence they are gone when the last process that has NVML open ends, also when
 * it is killed: each holds a shared lock on that file.
 *
 * Compiled with STUB_OLD it is a driver that lacks whatever came after 2019. */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

typedef unsigned int Return; /* nvmlReturn_t */
enum {
  OK = 0,
  UNINITIALIZED = 1,
  INVALID_ARGUMENT = 2,
  NOT_SUPPORTED = 3,
  NOT_FOUND = 6,
  INSUFFICIENT_SIZE = 7,
  LOST = 15,
  VERSION_MISMATCH = 25
};

typedef struct {
  unsigned graphics_min, graphics_max; /* MHz; a maximum of 0: unlocked */
  unsigned memory_min, memory_max;
  unsigned power_limit; /* mW */
} Settings;

typedef struct {
  const char *name, *uuid, *bus_id;
  unsigned architecture;
  unsigned memory[4]; /* MHz, descending, 0 ends */
  /* Graphics clocks that go with each of them: from the lowest up to this, in steps of 15 MHz. */
  unsigned graphics_max[4];
  unsigned graphics_min;
  unsigned power_min, power_max, power_default;      /* mW */
  unsigned idle_power, memory_power, graphics_power; /* mW at full clocks; the last goes with the cube of the clock */
} Model;

static const Model kModels[2] = {
    {"Stub GPU A", "GPU-0aaaaaaa-0000-4000-8000-000000000001", "00000000:01:00.0", 7, {7001, 5001, 405, 0}, {1800, 1800, 420, 0}, 210,
     100000, 160000, 140000, 15000, 30000, 130000},
    {"Stub GPU H", "GPU-0bbbbbbb-0000-4000-8000-000000000002", "00000000:02:00.0", 9, {2619, 0, 0, 0}, {1980, 0, 0, 0}, 345, 200000,
     700000, 700000, 70000, 150000, 500000},
};
#define MODELS 2

struct Device {
  int index;
};
typedef struct Device* Device;
static struct Device devices[MODELS] = {{0}, {1}};

static Settings own[MODELS];   /* without a state file */
static int state_file = -1;
static int clients = 0;        /* nvmlInit less nvmlShutdown, in this process */
static int calls_of[MODELS];

/* The word that is `name` or begins with "name="; what follows is at *value. */
static int word(const char* name, const char** value) {
  const char* at = getenv("POLYTHROTTLE_NVML_STUB");
  const size_t length = strlen(name);
  while (at != NULL && *at != '\0') {
    if (strncmp(at, name, length) == 0 && (at[length] == '=' || at[length] == ',' || at[length] == '\0')) {
      if (value != NULL) *value = at[length] == '=' ? at + length + 1 : "";
      return 1;
    }
    at = strchr(at, ',');
    if (at != NULL) ++at;
  }
  return 0;
}

static unsigned number(const char* name, unsigned otherwise) {
  const char* text = NULL;
  return word(name, &text) ? (unsigned)strtoul(text, NULL, 0) : otherwise;
}

static void defaults(Settings* settings) {
  int i;
  memset(settings, 0, sizeof(Settings) * MODELS);
  for (i = 0; i < MODELS; ++i) settings[i].power_limit = kModels[i].power_default;
}

static void load_settings(Settings* settings) {
  if (state_file < 0 || pread(state_file, settings, sizeof own, 0) != (ssize_t)sizeof own) memcpy(settings, own, sizeof own);
}

static void store_settings(const Settings* settings) {
  memcpy(own, settings, sizeof own);
  if (state_file >= 0 && pwrite(state_file, settings, sizeof own, 0) != (ssize_t)sizeof own) abort();
}

/* What every function does first: the code it was told to answer, or OK. */
static Return begin(const char* function) {
  const char* text = NULL;
  if (word(function, &text)) return (Return)strtoul(text, NULL, 0);
  return clients > 0 || strcmp(function, "nvmlInit_v2") == 0 ? OK : UNINITIALIZED;
}

static Return begin_device(const char* function, Device device) {
  const char* text = NULL;
  const Return code = begin(function);
  if (code != OK) return code;
  if (device != &devices[0] && device != &devices[1]) return INVALID_ARGUMENT;
  ++calls_of[device->index];
  if (word("lost", &text) && (int)strtol(text, NULL, 10) == device->index) {
    const char* const after = strchr(text, '@');
    if (calls_of[device->index] >= (after == NULL ? 0 : (int)strtol(after + 1, NULL, 10))) return LOST;
  }
  return OK;
}

#define BEGIN()                                 \
  do {                                          \
    const Return code_ = begin(__func__);       \
    if (code_ != OK) return code_;              \
  } while (0)
#define BEGIN_DEVICE()                                 \
  do {                                                 \
    const Return code_ = begin_device(__func__, device); \
    if (code_ != OK) return code_;                     \
  } while (0)

static Return put_text(const char* from, char* to, unsigned length) {
  if (to == NULL) return INVALID_ARGUMENT;
  if (strlen(from) + 1 > length) return INSUFFICIENT_SIZE;
  strcpy(to, from);
  return OK;
}

/* ---- The GPU ---------------------------------------------------------------------------------------------------------------- */

typedef struct {
  unsigned graphics, memory, power;
  unsigned long long reasons;
} State;

static unsigned power_at(const Model* model, unsigned graphics, unsigned memory) {
  const double g = (double)graphics / model->graphics_max[0];
  const double m = (double)memory / model->memory[0];
  return (unsigned)(model->idle_power + model->memory_power * m + model->graphics_power * g * g * g);
}

static State state_of(int index) {
  const Model* const model = &kModels[index];
  Settings all[MODELS];
  Settings set;
  State state = {0, 0, 0, 0};
  unsigned ceiling, i, lowest = 0;
  const char* text = NULL;
  load_settings(all);
  set = all[index];
  if (word("lie", NULL)) set.graphics_max = set.memory_max = 0;
  while (lowest + 1 < 4 && model->memory[lowest + 1] != 0) ++lowest;
  if (word("reasons", &text)) state.reasons = strtoull(text, NULL, 16);
  if (!word("load", NULL)) {
    state.memory = model->memory[lowest];
    state.graphics = model->graphics_min;
    state.power = model->idle_power;
    state.reasons |= 0x1;
    return state;
  }
  i = 0;
  while (i < lowest && set.memory_max != 0 && model->memory[i] > set.memory_max) ++i;
  state.memory = model->memory[i];
  ceiling = model->graphics_max[i];
  if (set.graphics_max != 0 && set.graphics_max < ceiling) {
    ceiling = set.graphics_max;
    state.reasons |= 0x2;
  }
  state.graphics = ceiling - (ceiling - model->graphics_min) % 15;
  while (power_at(model, state.graphics, state.memory) > set.power_limit && state.graphics > model->graphics_min) {
    state.graphics -= 15;
    state.reasons |= 0x4;
  }
  state.power = power_at(model, state.graphics, state.memory);
  return state;
}

static unsigned power_of(int index) { return number("power", state_of(index).power); }

/* mJ. Counts in steps of 20 ms what the GPU draws at the end of each, from some number on, as if the driver had been loaded long ago. */
static unsigned long long energy_of(int index) {
  static long long counted_to[MODELS];
  static double millijoules[MODELS];
  const long long step = 20000000;
  struct timespec now;
  long long at;
  clock_gettime(CLOCK_MONOTONIC, &now);
  at = ((long long)now.tv_sec * 1000000000 + now.tv_nsec) / step * step;
  if (counted_to[index] == 0) {
    millijoules[index] = 123456789;
    counted_to[index] = at;
  }
  millijoules[index] += power_of(index) * 1e-9 * (double)(at - counted_to[index]) * number("counter", 100) / 100;
  counted_to[index] = at;
  return (unsigned long long)millijoules[index];
}

/* ---- The library ------------------------------------------------------------------------------------------------------------ */

Return nvmlInit_v2(void);
Return nvmlInit_v2(void) {
  const char* const path = getenv("POLYTHROTTLE_NVML_STUB_STATE");
  Settings settings[MODELS];
  BEGIN();
  if (clients++ > 0) return OK;
  memset(calls_of, 0, sizeof calls_of);
  state_file = path == NULL ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (own[0].power_limit == 0) defaults(own);
  if (state_file >= 0) {
    /* Nobody else has it open, and nothing keeps the driver set up: it starts from its defaults. */
    const int first = flock(state_file, LOCK_EX | LOCK_NB) == 0;
    if (lseek(state_file, 0, SEEK_END) != (off_t)sizeof own || (first && !word("persistence", NULL))) {
      defaults(settings);
      store_settings(settings);
    }
    flock(state_file, LOCK_SH);
  }
  return OK;
}

Return nvmlShutdown(void);
Return nvmlShutdown(void) {
  BEGIN();
  if (--clients > 0) return OK;
  if (state_file < 0 && !word("persistence", NULL)) defaults(own);
  if (state_file >= 0) close(state_file);
  state_file = -1;
  return OK;
}

Return nvmlSystemGetDriverVersion(char* version, unsigned length);
Return nvmlSystemGetDriverVersion(char* version, unsigned length) {
  BEGIN();
  return put_text("0.0-stub", version, length);
}

Return nvmlDeviceGetCount_v2(unsigned* count);
Return nvmlDeviceGetCount_v2(unsigned* count) {
  BEGIN();
  *count = number("gpus", MODELS);
  return OK;
}

Return nvmlDeviceGetHandleByIndex_v2(unsigned index, Device* device);
Return nvmlDeviceGetHandleByIndex_v2(unsigned index, Device* device) {
  BEGIN();
  if (index >= number("gpus", MODELS)) return INVALID_ARGUMENT;
  *device = &devices[index];
  return begin_device(__func__, *device);
}

Return nvmlDeviceGetUUID(Device device, char* uuid, unsigned length);
Return nvmlDeviceGetUUID(Device device, char* uuid, unsigned length) {
  BEGIN_DEVICE();
  return put_text(kModels[device->index].uuid, uuid, length);
}

Return nvmlDeviceGetName(Device device, char* name, unsigned length);
Return nvmlDeviceGetName(Device device, char* name, unsigned length) {
  BEGIN_DEVICE();
  return put_text(kModels[device->index].name, name, length);
}

typedef struct {
  char legacy[16];
  unsigned domain, bus, device, device_id, subsystem_id;
  char bus_id[32];
} PciInfo;

Return nvmlDeviceGetPciInfo_v3(Device device, PciInfo* pci);
Return nvmlDeviceGetPciInfo_v3(Device device, PciInfo* pci) {
  BEGIN_DEVICE();
  memset(pci, 0, sizeof *pci);
  strcpy(pci->bus_id, kModels[device->index].bus_id);
  pci->bus = (unsigned)device->index + 1;
  return OK;
}

static Return put_list(const unsigned* from, unsigned length, unsigned* count, unsigned* to) {
  const unsigned room = *count;
  *count = length;
  if (room < length) return INSUFFICIENT_SIZE;
  if (to == NULL) return INVALID_ARGUMENT;
  memcpy(to, from, length * sizeof *from);
  return OK;
}

Return nvmlDeviceGetSupportedMemoryClocks(Device device, unsigned* count, unsigned* clocks);
Return nvmlDeviceGetSupportedMemoryClocks(Device device, unsigned* count, unsigned* clocks) {
  unsigned length = 0;
  BEGIN_DEVICE();
  while (length < 4 && kModels[device->index].memory[length] != 0) ++length;
  return put_list(kModels[device->index].memory, length, count, clocks);
}

Return nvmlDeviceGetSupportedGraphicsClocks(Device device, unsigned memory, unsigned* count, unsigned* clocks);
Return nvmlDeviceGetSupportedGraphicsClocks(Device device, unsigned memory, unsigned* count, unsigned* clocks) {
  const Model* model;
  unsigned list[256], length = 0, i = 0, clock;
  BEGIN_DEVICE();
  model = &kModels[device->index];
  while (i < 4 && model->memory[i] != memory) ++i;
  if (i == 4 || memory == 0) return NOT_FOUND;
  for (clock = model->graphics_max[i]; clock >= model->graphics_min; clock -= 15) list[length++] = clock;
  return put_list(list, length, count, clocks);
}

Return nvmlDeviceGetClockInfo(Device device, unsigned type, unsigned* clock);
Return nvmlDeviceGetClockInfo(Device device, unsigned type, unsigned* clock) {
  State state;
  BEGIN_DEVICE();
  if (type > 2) return INVALID_ARGUMENT;
  state = state_of(device->index);
  *clock = type == 2 ? state.memory : state.graphics;
  return OK;
}

Return nvmlDeviceGetPowerManagementLimit(Device device, unsigned* limit);
Return nvmlDeviceGetPowerManagementLimit(Device device, unsigned* limit) {
  Settings settings[MODELS];
  BEGIN_DEVICE();
  load_settings(settings);
  *limit = settings[device->index].power_limit;
  return OK;
}

Return nvmlDeviceGetEnforcedPowerLimit(Device device, unsigned* limit);
Return nvmlDeviceGetEnforcedPowerLimit(Device device, unsigned* limit) {
  Settings settings[MODELS];
  BEGIN_DEVICE();
  load_settings(settings);
  *limit = settings[device->index].power_limit;
  return OK;
}

Return nvmlDeviceGetPowerManagementLimitConstraints(Device device, unsigned* lowest, unsigned* highest);
Return nvmlDeviceGetPowerManagementLimitConstraints(Device device, unsigned* lowest, unsigned* highest) {
  BEGIN_DEVICE();
  *highest = kModels[device->index].power_max;
  *lowest = word("fixed", NULL) ? *highest : kModels[device->index].power_min;
  return OK;
}

Return nvmlDeviceGetPowerManagementDefaultLimit(Device device, unsigned* limit);
Return nvmlDeviceGetPowerManagementDefaultLimit(Device device, unsigned* limit) {
  BEGIN_DEVICE();
  *limit = kModels[device->index].power_default;
  return OK;
}

Return nvmlDeviceSetPowerManagementLimit(Device device, unsigned limit);
Return nvmlDeviceSetPowerManagementLimit(Device device, unsigned limit) {
  Settings settings[MODELS];
  BEGIN_DEVICE();
  if (limit < kModels[device->index].power_min || limit > kModels[device->index].power_max) return INVALID_ARGUMENT;
  load_settings(settings);
  settings[device->index].power_limit = limit;
  store_settings(settings);
  return OK;
}

Return nvmlDeviceGetCurrentClocksThrottleReasons(Device device, unsigned long long* reasons);
Return nvmlDeviceGetCurrentClocksThrottleReasons(Device device, unsigned long long* reasons) {
  BEGIN_DEVICE();
  *reasons = state_of(device->index).reasons;
  return OK;
}

Return nvmlDeviceGetTemperature(Device device, unsigned sensor, unsigned* celsius);
Return nvmlDeviceGetTemperature(Device device, unsigned sensor, unsigned* celsius) {
  BEGIN_DEVICE();
  if (sensor != 0) return INVALID_ARGUMENT;
  *celsius = 30 + state_of(device->index).power / 10000;
  return OK;
}

typedef struct {
  unsigned gpu, memory;
} Utilization;

Return nvmlDeviceGetUtilizationRates(Device device, Utilization* utilization);
Return nvmlDeviceGetUtilizationRates(Device device, Utilization* utilization) {
  BEGIN_DEVICE();
  if (word("mig", NULL)) return NOT_SUPPORTED;
  utilization->gpu = word("load", NULL) ? 100 : 0;
  utilization->memory = utilization->gpu / 2;
  return OK;
}

Return nvmlDeviceGetPowerUsage(Device device, unsigned* power);
Return nvmlDeviceGetPowerUsage(Device device, unsigned* power) {
  BEGIN_DEVICE();
  *power = power_of(device->index);
  return OK;
}

Return nvmlDeviceGetTotalEnergyConsumption(Device device, unsigned long long* energy);
Return nvmlDeviceGetTotalEnergyConsumption(Device device, unsigned long long* energy) {
  BEGIN_DEVICE();
  *energy = energy_of(device->index);
  return OK;
}

typedef struct {
  unsigned long long total, free, used;
} Memory;

Return nvmlDeviceGetMemoryInfo(Device device, Memory* memory);
Return nvmlDeviceGetMemoryInfo(Device device, Memory* memory) {
  BEGIN_DEVICE();
  memory->total = 16ULL << 30;
  memory->used = word("load", NULL) ? 3ULL << 30 : 0;
  memory->free = memory->total - memory->used;
  return OK;
}

Return nvmlDeviceGetPersistenceMode(Device device, unsigned* mode);
Return nvmlDeviceGetPersistenceMode(Device device, unsigned* mode) {
  BEGIN_DEVICE();
  *mode = word("persistence", NULL) ? 1 : 0;
  return OK;
}

/* ---- Younger than the old driver -------------------------------------------------------------------------------------------- */

#ifndef STUB_OLD

Return nvmlDeviceGetArchitecture(Device device, unsigned* architecture);
Return nvmlDeviceGetArchitecture(Device device, unsigned* architecture) {
  BEGIN_DEVICE();
  *architecture = number("architecture", kModels[device->index].architecture);
  return OK;
}

static Return lock(Device device, unsigned lowest, unsigned highest, int memory) {
  Settings settings[MODELS];
  if (lowest > highest || highest == 0) return INVALID_ARGUMENT;
  load_settings(settings);
  *(memory ? &settings[device->index].memory_min : &settings[device->index].graphics_min) = lowest;
  *(memory ? &settings[device->index].memory_max : &settings[device->index].graphics_max) = highest;
  store_settings(settings);
  return OK;
}

static Return unlock(Device device, int memory) {
  Settings settings[MODELS];
  load_settings(settings);
  *(memory ? &settings[device->index].memory_max : &settings[device->index].graphics_max) = 0;
  store_settings(settings);
  return OK;
}

Return nvmlDeviceSetGpuLockedClocks(Device device, unsigned lowest, unsigned highest);
Return nvmlDeviceSetGpuLockedClocks(Device device, unsigned lowest, unsigned highest) {
  BEGIN_DEVICE();
  return lock(device, lowest, highest, 0);
}

Return nvmlDeviceResetGpuLockedClocks(Device device);
Return nvmlDeviceResetGpuLockedClocks(Device device) {
  BEGIN_DEVICE();
  return unlock(device, 0);
}

Return nvmlDeviceSetMemoryLockedClocks(Device device, unsigned lowest, unsigned highest);
Return nvmlDeviceSetMemoryLockedClocks(Device device, unsigned lowest, unsigned highest) {
  BEGIN_DEVICE();
  return lock(device, lowest, highest, 1);
}

Return nvmlDeviceResetMemoryLockedClocks(Device device);
Return nvmlDeviceResetMemoryLockedClocks(Device device) {
  BEGIN_DEVICE();
  return unlock(device, 1);
}

Return nvmlDeviceGetCurrentClocksEventReasons(Device device, unsigned long long* reasons);
Return nvmlDeviceGetCurrentClocksEventReasons(Device device, unsigned long long* reasons) {
  BEGIN_DEVICE();
  *reasons = state_of(device->index).reasons;
  return OK;
}

typedef struct {
  unsigned version, sensor;
  int celsius;
} Temperature;

Return nvmlDeviceGetTemperatureV(Device device, Temperature* temperature);
Return nvmlDeviceGetTemperatureV(Device device, Temperature* temperature) {
  BEGIN_DEVICE();
  if (temperature->version != (sizeof *temperature | 1u << 24)) return VERSION_MISMATCH;
  if (temperature->sensor != 0) return INVALID_ARGUMENT;
  temperature->celsius = (int)(30 + state_of(device->index).power / 10000);
  return OK;
}

Return nvmlDeviceGetMigMode(Device device, unsigned* current, unsigned* pending);
Return nvmlDeviceGetMigMode(Device device, unsigned* current, unsigned* pending) {
  BEGIN_DEVICE();
  if (device->index == 0) return NOT_SUPPORTED; /* a workstation's GPU */
  *current = *pending = word("mig", NULL) ? 1 : 0;
  return OK;
}

typedef struct {
  unsigned field, scope;
  long long timestamp, latency;
  unsigned type;
  Return result;
  union {
    double as_double;
    unsigned as_unsigned;
    unsigned long long as_long;
  } value;
} FieldValue;

Return nvmlDeviceGetFieldValues(Device device, int count, FieldValue* values);
Return nvmlDeviceGetFieldValues(Device device, int count, FieldValue* values) {
  const Model* model;
  Settings settings[MODELS];
  int i;
  BEGIN_DEVICE();
  model = &kModels[device->index];
  load_settings(settings);
  for (i = 0; i < count; ++i) {
    FieldValue* const at = &values[i];
    at->timestamp = (long long)time(NULL) * 1000000;
    at->latency = 0;
    at->type = 1;
    at->result = OK;
    at->value.as_long = 0;
    switch (at->field) {
      case 83: at->type = 3; at->value.as_long = energy_of(device->index); break;
      case 185:
      case 186: at->value.as_unsigned = power_of(device->index); break;
      case 187: at->value.as_unsigned = model->power_min; break;
      case 188: at->value.as_unsigned = model->power_max; break;
      case 189: at->value.as_unsigned = model->power_default; break;
      case 190: at->value.as_unsigned = settings[device->index].power_limit; break;
      case 269:
      case 270:
      case 271: at->type = 3; at->value.as_long = number("slowdown", 0); break;
      default: at->result = NOT_SUPPORTED;
    }
  }
  return OK;
}

#endif
