// SPDX-License-Identifier: GPL-2.0-only
/*
 * A make-believe board for tests in a virtual machine: cpufreq, devfreq, powercap, hwmon and debugfs devices registered with the kernel's
 * own cores. What stands behind them is made up (clocks are numbers, power is a formula of them); how the files in /sys take a write,
 * refuse it or round it is the kernel's doing, and that is what is tested.
 *
 * Left in for good once loaded. A part that cannot register says so in the kernel log and is missing; the others go on.
 *
 * Copyright (C) the PolyThrottle authors. Linked into the kernel, whose symbols it uses are GPL-only: hence this licence, for this file.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cpufreq.h>
#include <linux/debugfs.h>
#include <linux/devfreq.h>
#include <linux/hwmon.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/pm_opp.h>
#include <linux/powercap.h>
#include <linux/seq_file.h>
#include <linux/spinlock.h>

/* --- What the board does: clocks, and the power that follows from them ---------------------------------------------------------- */

/* CPU 1 is a cluster of its own, which vanishes with it; the others are one. */
#define CLUSTERS 2
#define CLUSTER_OF(cpu) ((cpu) == 1)

static DEFINE_SPINLOCK(board_lock);
static unsigned int clock_khz[CLUSTERS] = { 2035200, 2035200 };
static unsigned long gpu_hz = 1300500000;
static u64 emc_hz = 2133000000;
static u64 package_limit_uw = 15000000;
static u64 package_nj;
static u64 dram_nj;
static u64 board_nj;
static ktime_t counted_to;

static u64 square(u64 mhz)
{
	return mhz * mhz;
}

/* A cluster at its highest clock draws 2.6 W, the GPU 10.5 W, memory 2.2 W. */
static u64 cpu_uw(void)
{
	u64 uw = 0;
	int i;

	for (i = 0; i < CLUSTERS; i++)
		uw += 150000 + square(clock_khz[i] / 1000) * 6 / 10;
	return min(uw, package_limit_uw);
}

static u64 gpu_uw(void)
{
	return 300000 + square(gpu_hz / 1000000) * 6;
}

static u64 dram_uw(void)
{
	return emc_hz / 1000;
}

static u64 board_uw(void)
{
	return 1500000 + cpu_uw() + gpu_uw() + dram_uw();
}

/* Books the energy up to now at the present power. Called with board_lock held, before anything changes. */
static void count_energy(void)
{
	ktime_t now = ktime_get();
	u64 us = ktime_us_delta(now, counted_to);

	package_nj += div_u64(cpu_uw() * us, 1000);
	dram_nj += div_u64(dram_uw() * us, 1000);
	board_nj += div_u64(board_uw() * us, 1000);
	counted_to = now;
}

/* --- cpufreq: a policy for each cluster------------------------------------------------------------------------------------------ */

static struct cpufreq_frequency_table cpu_table[] = {
	{ .frequency = 345600 }, { .frequency = 806400 }, { .frequency = 1190400 }, { .frequency = 2035200 },
	{ .frequency = CPUFREQ_TABLE_END },
};

static int policy_init(struct cpufreq_policy *policy)
{
	int cpu;

	policy->freq_table = cpu_table;
	policy->cpuinfo.transition_latency = 100 * NSEC_PER_USEC;
	policy->cur = clock_khz[CLUSTER_OF(policy->cpu)];
	for_each_possible_cpu(cpu)
		if (CLUSTER_OF(cpu) == CLUSTER_OF(policy->cpu))
			cpumask_set_cpu(cpu, policy->cpus);
	return 0;
}

static int policy_exit(struct cpufreq_policy *policy)
{
	return 0;
}

static int policy_target(struct cpufreq_policy *policy, unsigned int index)
{
	spin_lock(&board_lock);
	count_energy();
	clock_khz[CLUSTER_OF(policy->cpu)] = cpu_table[index].frequency;
	spin_unlock(&board_lock);
	return 0;
}

static unsigned int policy_get(unsigned int cpu)
{
	return clock_khz[CLUSTER_OF(cpu)];
}

static struct cpufreq_driver board_cpufreq = {
	.name = "test-board",
	.init = policy_init,
	.exit = policy_exit,
	.verify = cpufreq_generic_frequency_table_verify,
	.target_index = policy_target,
	.get = policy_get,
	.attr = cpufreq_generic_attr,
};

/* --- devfreq: a GPU, called as an Orin's is --------------------------------------------------------------------------------- */

static const unsigned long gpu_table[] = { 114750000, 306000000, 624750000, 918000000, 1300500000 };
static u32 gpu_busy = 100; /* percent */
static bool gpu_gated; /* its power is off: it reports no clock */

static int gpu_target(struct device *dev, unsigned long *hz, u32 flags)
{
	struct dev_pm_opp *opp = devfreq_recommended_opp(dev, hz, flags);

	if (IS_ERR(opp))
		return PTR_ERR(opp);
	dev_pm_opp_put(opp);
	spin_lock(&board_lock);
	count_energy();
	gpu_hz = *hz;
	spin_unlock(&board_lock);
	return 0;
}

static int gpu_status(struct device *dev, struct devfreq_dev_status *status)
{
	status->current_frequency = gpu_hz;
	status->busy_time = gpu_busy;
	status->total_time = 100;
	return 0;
}

static int gpu_get(struct device *dev, unsigned long *hz)
{
	*hz = gpu_gated ? 0 : gpu_hz;
	return 0;
}

static struct devfreq_dev_profile gpu_profile = {
	.initial_freq = 1300500000,
	.polling_ms = 20,
	/* the default, a deferrable timer, may not fire for seconds while the guest is idle */
	.timer = DEVFREQ_TIMER_DELAYED,
	.target = gpu_target,
	.get_dev_status = gpu_status,
	.get_cur_freq = gpu_get,
};

/* --- powercap: one package with two parts, under the names of Intel's driver ----------------------------------------------------- */

static struct powercap_zone package, core, dram;

/* Each starts again at 0 after this, as the hardware's 32 bits do. Where a zone begins can be set, to see that. */
#define ENERGY_RANGE_UJ 262143328850ULL
static u64 package_offset_uj;

static int zone_energy(struct powercap_zone *zone, u64 *uj)
{
	u64 counted;

	spin_lock(&board_lock);
	count_energy();
	counted = div_u64(zone == &dram ? dram_nj : zone == &core ? package_nj / 4 * 3 : package_nj + package_offset_uj * 1000, 1000);
	spin_unlock(&board_lock);
	div64_u64_rem(counted, ENERGY_RANGE_UJ, uj);
	return 0;
}

static int zone_range(struct powercap_zone *zone, u64 *uj)
{
	*uj = ENERGY_RANGE_UJ;
	return 0;
}

static int zone_release(struct powercap_zone *zone)
{
	return 0;
}

static const struct powercap_zone_ops zone_ops = {
	.get_energy_uj = zone_energy,
	.get_max_energy_range_uj = zone_range,
	.release = zone_release,
};

static int limit_set(struct powercap_zone *zone, int id, u64 uw)
{
	spin_lock(&board_lock);
	count_energy();
	package_limit_uw = uw;
	spin_unlock(&board_lock);
	return 0;
}

static int limit_get(struct powercap_zone *zone, int id, u64 *uw)
{
	*uw = package_limit_uw;
	return 0;
}

static int limit_max(struct powercap_zone *zone, int id, u64 *uw)
{
	*uw = 15000000;
	return 0;
}

static u64 window_us = 976;

static int window_set(struct powercap_zone *zone, int id, u64 us)
{
	window_us = us;
	return 0;
}

static int window_get(struct powercap_zone *zone, int id, u64 *us)
{
	*us = window_us;
	return 0;
}

static const char *limit_name(struct powercap_zone *zone, int id)
{
	return "long_term";
}

static const struct powercap_zone_constraint_ops limit_ops = {
	.set_power_limit_uw = limit_set,
	.get_power_limit_uw = limit_get,
	.get_max_power_uw = limit_max,
	.set_time_window_us = window_set,
	.get_time_window_us = window_get,
	.get_name = limit_name,
};

/* --- hwmon: a power chip with three rails, as on a Jetson -------------------------------------------------------------------------- */

static const char *const rail_labels[] = { "", "VDD_IN", "VDD_GPU_SOC", "VDD_CPU_CV" };
#define RAIL_MV 5000

static umode_t rail_visible(const void *data, enum hwmon_sensor_types type, u32 attr, int channel)
{
	return type == hwmon_in && channel == 0 ? 0 : 0444; /* in0 is not of this chip: rails count from 1 */
}

static int rail_read(struct device *dev, enum hwmon_sensor_types type, u32 attr, int channel, long *value)
{
	int rail = type == hwmon_in ? channel : channel + 1;
	u64 uw;

	if (type == hwmon_in) {
		*value = RAIL_MV;
		return 0;
	}
	spin_lock(&board_lock);
	uw = rail == 1 ? board_uw() : rail == 2 ? gpu_uw() : cpu_uw();
	spin_unlock(&board_lock);
	*value = div_u64(uw, RAIL_MV);
	return 0;
}

static int rail_label(struct device *dev, enum hwmon_sensor_types type, u32 attr, int channel, const char **text)
{
	*text = rail_labels[channel];
	return 0;
}

static const struct hwmon_channel_info *rail_channels[] = {
	HWMON_CHANNEL_INFO(in, HWMON_I_INPUT, HWMON_I_INPUT | HWMON_I_LABEL, HWMON_I_INPUT | HWMON_I_LABEL,
			   HWMON_I_INPUT | HWMON_I_LABEL),
	HWMON_CHANNEL_INFO(curr, HWMON_C_INPUT, HWMON_C_INPUT, HWMON_C_INPUT),
	NULL
};

static const struct hwmon_ops rail_ops = { .is_visible = rail_visible, .read = rail_read, .read_string = rail_label };
static const struct hwmon_chip_info rail_chip = { .ops = &rail_ops, .info = rail_channels };

/* --- hwmon: two more chips before the whole board, one that tells its power and one that counts its energy ------------------------ */

static umode_t supply_visible(const void *data, enum hwmon_sensor_types type, u32 attr, int channel)
{
	return 0444;
}

static int supply_read(struct device *dev, enum hwmon_sensor_types type, u32 attr, int channel, long *value)
{
	if (type == hwmon_chip) {
		*value = 20; /* ms between two numbers */
		return 0;
	}
	spin_lock(&board_lock);
	count_energy();
	*value = type == hwmon_power ? board_uw() : div_u64(board_nj, 1000);
	spin_unlock(&board_lock);
	return 0;
}

static int supply_label(struct device *dev, enum hwmon_sensor_types type, u32 attr, int channel, const char **text)
{
	*text = "main supply";
	return 0;
}

static const struct hwmon_channel_info *power_channels[] = {
	HWMON_CHANNEL_INFO(chip, HWMON_C_UPDATE_INTERVAL), HWMON_CHANNEL_INFO(power, HWMON_P_INPUT | HWMON_P_LABEL), NULL
};
static const struct hwmon_channel_info *energy_channels[] = { HWMON_CHANNEL_INFO(energy, HWMON_E_INPUT | HWMON_E_LABEL), NULL };
static const struct hwmon_ops supply_ops = { .is_visible = supply_visible, .read = supply_read, .read_string = supply_label };
static const struct hwmon_chip_info power_chip = { .ops = &supply_ops, .info = power_channels };
static const struct hwmon_chip_info energy_chip = { .ops = &supply_ops, .info = energy_channels };

/* --- debugfs: the memory clock as a Jetson's firmware (BPMP) shows it ------------------------------------------------------------ */

static const u64 emc_table[] = { 204000000, 665600000, 2133000000 };
static u64 emc_locked;
static u64 emc_state = 1;

static void emc_set(u64 hz)
{
	spin_lock(&board_lock);
	count_energy();
	emc_hz = hz;
	spin_unlock(&board_lock);
}

static int rate_get(void *data, u64 *hz)
{
	*hz = emc_hz;
	return 0;
}

/* Nobody is told that a rate was rounded up, or ignored because nothing is locked. */
static int rate_set(void *data, u64 hz)
{
	int i = 0;

	while (i < ARRAY_SIZE(emc_table) - 1 && emc_table[i] < hz)
		i++;
	if (emc_locked)
		emc_set(emc_table[i]);
	return 0;
}

static int locked_get(void *data, u64 *locked)
{
	*locked = emc_locked;
	return 0;
}

static int locked_set(void *data, u64 locked)
{
	emc_locked = !!locked;
	if (!emc_locked)
		emc_set(2133000000); /* what its governor takes */
	return 0;
}

static int rates_show(struct seq_file *file, void *data)
{
	seq_puts(file, "204000 665600 2133000 (kHz)\n");
	return 0;
}

DEFINE_DEBUGFS_ATTRIBUTE(rate_fops, rate_get, rate_set, "%llu\n");
DEFINE_DEBUGFS_ATTRIBUTE(locked_fops, locked_get, locked_set, "%llu\n");
DEFINE_SHOW_ATTRIBUTE(rates);

static void add_emc(void)
{
	struct dentry *debug = debugfs_create_dir("debug", debugfs_create_dir("bpmp", NULL));
	struct dentry *board = debugfs_create_dir("test_board", NULL);
	struct dentry *emc = debugfs_create_dir("emc", debugfs_create_dir("clk", debug));
	static u64 lowest = 204000000, highest = 2133000000;

	debugfs_create_file("rate", 0644, emc, NULL, &rate_fops);
	debugfs_create_file("mrq_rate_locked", 0644, emc, NULL, &locked_fops);
	debugfs_create_u64("state", 0644, emc, &emc_state);
	debugfs_create_u64("min_rate", 0444, emc, &lowest);
	debugfs_create_u64("max_rate", 0444, emc, &highest);
	debugfs_create_file("possible_rates", 0444, debugfs_create_dir("emc", debug), NULL, &rates_fops);
	debugfs_create_u32("gpu_busy", 0644, board, &gpu_busy);
	debugfs_create_bool("gpu_gated", 0644, board, &gpu_gated);
	debugfs_create_u64("package_offset_uj", 0644, board, &package_offset_uj);
}

/* ------------------------------------------------------------------------------------------------------------------------------------ */

static void said(const char *part, const void *result)
{
	if (IS_ERR(result))
		pr_err("%s is missing: error %ld\n", part, PTR_ERR(result));
}

static int __init board_start(void)
{
	struct platform_device *gpu = platform_device_register_simple("17000000.ga10b", PLATFORM_DEVID_NONE, NULL, 0);
	struct powercap_control_type *rapl;
	int i;

	if (IS_ERR(gpu))
		return PTR_ERR(gpu);
	counted_to = ktime_get();
	said("cpufreq", ERR_PTR(cpufreq_register_driver(&board_cpufreq)));
	for (i = 0; i < ARRAY_SIZE(gpu_table); i++)
		said("an OPP", ERR_PTR(dev_pm_opp_add(&gpu->dev, gpu_table[i], 900000)));
	said("devfreq", devfreq_add_device(&gpu->dev, &gpu_profile, "simple_ondemand", NULL));
	rapl = powercap_register_control_type(NULL, "intel-rapl", NULL);
	said("powercap", rapl);
	if (!IS_ERR(rapl)) {
		said("the powercap zone", powercap_register_zone(&package, rapl, "package-0", NULL, &zone_ops, 1, &limit_ops));
		said("the core zone", powercap_register_zone(&core, rapl, "core", &package, &zone_ops, 0, &limit_ops));
		said("the dram zone", powercap_register_zone(&dram, rapl, "dram", &package, &zone_ops, 0, &limit_ops));
	}
	said("hwmon for power", hwmon_device_register_with_info(&gpu->dev, "test_power", NULL, &power_chip, NULL));
	said("hwmon for energy", hwmon_device_register_with_info(&gpu->dev, "test_energy", NULL, &energy_chip, NULL));
	said("hwmon", hwmon_device_register_with_info(&gpu->dev, "ina3221", NULL, &rail_chip, NULL));
	add_emc();
	return 0;
}
module_init(board_start);

MODULE_DESCRIPTION("A make-believe board with the kernel's real cpufreq, devfreq, powercap and hwmon files");
MODULE_LICENSE("GPL");
