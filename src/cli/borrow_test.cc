#include "cli/borrow.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "knob/fake_lease.h"

namespace polythrottle {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class BorrowTest : public LeaseTest {
 protected:
  const std::vector<Knob*> knobs{&a, &c, &memory};
};

TEST_F(BorrowTest, KeepsWhatStaysAndNamesWhatEnds) {
  auto lease = take(knobs);
  const auto kept = keep_in_place(host, *lease, knobs, {{"a", 1.0}, {"c", 2.0}, {"memory", 8.0}, {"batch", 4.0}}, "b4.sqlite");
  ASSERT_TRUE(kept) << kept.error().text();
  EXPECT_EQ(kept->in_place, (Config{{"a", 1.0}, {"c", 2.0}}));
  EXPECT_EQ(kept->ended, (Config{{"memory", 8.0}}));
  EXPECT_EQ(memory.value, 7.0);
  EXPECT_EQ(read_record()["kept"]["config"], "a=1 c=2");
  lease.reset();
  EXPECT_EQ(files.nodes["/sys/a"], "1\n");
}

TEST_F(BorrowTest, KeepsNothingThatTheMachineDoesNotReport) {
  auto lease = take(knobs);
  files.lie.insert("/sys/c0");
  const auto kept = keep_in_place(host, *lease, knobs, {{"a", 1.0}, {"c", 2.0}}, "b4.sqlite");
  ASSERT_FALSE(kept);
  EXPECT_THAT(kept.error().what, HasSubstr("keep c=2: the machine reports 3"));
  EXPECT_TRUE(give_back(*lease));
  EXPECT_EQ(files.nodes["/sys/a"], "3\n");
  EXPECT_FALSE(std::filesystem::exists(record));
}

/// A limit of an NVIDIA GPU.
class GpuKnob final : public Knob {
 public:
  const Parameter& parameter() const override { return parameter_; }
  Result<Value> read() override { return Value(1.0); }
  Result<Value> write(const Value& wanted) override { return wanted; }
  std::vector<std::string> paths() const override { return {"/nvml/GPU-0/power_limit_mw"}; }

 private:
  Parameter parameter_{"power_limit_watts", "W", Role::kPowerCap, {1.0, 2.0}, ""};
};

TEST_F(BorrowTest, KeepsNothingThatANvidiaDriverForgets) {
  GpuKnob gpu;
  auto lease = take({&a});
  const std::vector<Knob*> knobs_here{&gpu};
  files.nodes["/nvml/GPU-0/persistence_mode"] = "0\n";
  const auto kept = keep_in_place(host, *lease, knobs_here, {{"power_limit_watts", 1.0}}, "b4.sqlite");
  ASSERT_FALSE(kept);
  EXPECT_EQ(kept.error().code, Errc::kUnsupported);
  EXPECT_THAT(kept.error().what, HasSubstr("persistence mode off"));
}

/// A clock in a file.
class ClockKnob final : public Knob {
 public:
  explicit ClockKnob(FakeFiles& files) : files_(files) {}
  const Parameter& parameter() const override { return parameter_; }
  Result<Value> read() override {
    TRY(const long long hertz, read_integer(files_, "/sys/clock"));
    return Value(static_cast<double>(hertz));
  }
  Result<Value> write(const Value& wanted) override {
    TRY_STATUS(files_.write("/sys/clock", to_text(wanted)));
    return read();
  }
  std::vector<std::string> paths() const override { return {"/sys/clock"}; }

 private:
  FakeFiles& files_;
  Parameter parameter_{"gpu_max_hz", "Hz", Role::kComputeClock, {100.0, 200.0}, ""};
};

TEST_F(BorrowTest, TakesNoClockOfAHotMachine) {
  files.nodes["/sys/clock"] = "100\n";  // held down; its owner's limit is 200
  files.nodes["/sys/class/thermal/cooling_device0/type"] = "cpufreq-cpu0\n";
  files.nodes["/sys/class/thermal/cooling_device0/cur_state"] = "1\n";
  ClockKnob clock_knob(files);
  const auto hot = borrow(host, {&clock_knob}, {.record_path = record});
  ASSERT_FALSE(hot);
  EXPECT_THAT(hot.error().text(), HasSubstr("it is hot and holds its clocks down (cpufreq-cpu0)"));
  EXPECT_FALSE(std::filesystem::exists(record));
  files.nodes["/sys/class/thermal/cooling_device0/cur_state"] = "0\n";
  EXPECT_TRUE(borrow(host, {&clock_knob}, {.record_path = record}));
}

TEST_F(BorrowTest, KeepsNothingWhereNothingStays) {
  auto lease = take({&memory});
  const std::vector<Knob*> only{&memory};
  EXPECT_EQ(keep_in_place(host, *lease, only, {{"memory", 8.0}}, "b4.sqlite").error().code, Errc::kInvalid);
}

TEST_F(BorrowTest, DescribesWhatADeadRunLeft) {
  leave_record({{"command", "polythrottle tune"}});
  const auto left = *look_at_record(host, record);
  const auto recovery = *recover(host, knobs, record);
  EXPECT_THAT(describe_recovery(host, left, recovery.knobs),
              ElementsAre("Left by process 4242 (polythrottle tune), which ended without giving the machine back:",
                          "c  found 3, now 3, restored", "b  found 2, now 2, never moved", "a  found 3, now 3, restored"));
}

TEST_F(BorrowTest, ComparesAfterAReboot) {
  leave_record({{"boot_id", "boot-0"}, {"notes", {{"power_mode", "0 MAXN"}}}});
  files.nodes["/sys/a"] = "3\n";
  const auto left = *look_at_record(host, record);
  const auto recovery = *recover(host, knobs, record);
  EXPECT_THAT(describe_recovery(host, left, recovery.knobs),
              ElementsAre("The machine was rebooted since process 4242 moved its settings; nothing is written back.",
                          "c  found 3 before the reboot, now 2: differs", "a  found 3 before the reboot, now 3: same",
                          "power_mode  found 0 MAXN before the reboot, now unknown: differs"));
}

TEST_F(BorrowTest, GivesBackOnEveryWayOutAndTellsWhatIsNotBack) {
  auto lease = take(knobs);
  ASSERT_TRUE(lease->apply({{"a", 1.0}}));
  files.refuse_write["/sys/a"] = EIO;
  ::testing::internal::CaptureStderr();
  { const GiveBack on_every_way_out(lease.get()); }
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("a was not restored to 3: write /sys/a"));
  files.refuse_write.clear();
  ::testing::internal::CaptureStderr();
  {
    GiveBack once(lease.get());
    EXPECT_TRUE(once.now());
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  EXPECT_EQ(files.nodes["/sys/a"], "3\n");
}

TEST_F(BorrowTest, BringsBackLeftoversBeforeALeaseIsTaken) {
  leave_record();
  ASSERT_TRUE(bring_back_leftovers(host, record, {.quiet = true}));
  EXPECT_EQ(files.nodes["/sys/a"], "3\n");
  leave_record();
  files.refuse_write["/sys/c0"] = EROFS;
  const auto refused = bring_back_leftovers(host, record, {.quiet = true});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text(), HasSubstr("c was not restored to 3: write /sys/c0"));
  EXPECT_THAT(refused.error().text(), HasSubstr("'polythrottle restore' tries again"));
}

}  // namespace
}  // namespace polythrottle
