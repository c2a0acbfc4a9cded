#include "meter/slowdowns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace polythrottle {
namespace {

struct Count : Gauge {
  const std::string& name() const override { return name_; }
  Result<double> read() override {
    if (!value) return fail(Errc::kBusy, "read it: asleep");
    return *value;
  }
  bool counts() const override { return counting; }
  std::string what() const override { return said; }
  std::string name_ = "throttle_events", said;
  std::optional<double> value = 0.0;
  bool counting = true;
};

class Slowdowns : public ::testing::Test {
 protected:
  Slowdowns() {
    for (int i = 0; i < 2; ++i) gauges_.push_back(std::make_unique<Count>());
  }
  Count& at(std::size_t i) { return static_cast<Count&>(*gauges_[i]); }
  std::vector<std::unique_ptr<Gauge>> gauges_;
};

TEST_F(Slowdowns, SayHowOftenAndWhat) {
  at(1).value = 7;
  const auto before = counts_of(gauges_);
  EXPECT_EQ(slowed_down_since(gauges_, before), "");
  at(1).value = 9;
  at(1).said = "average over-current (oc2)";
  EXPECT_EQ(slowed_down_since(gauges_, before), "the hardware slowed itself down 2 times meanwhile: average over-current (oc2)");
}

TEST_F(Slowdowns, ACountThatCouldNotBeReadAtOneEndSaysNothing) {
  at(0).value.reset();
  at(1).value = 1;
  const auto before = counts_of(gauges_);
  at(0).value = 1e6;  // since boot
  EXPECT_EQ(slowed_down_since(gauges_, before), "");
  at(1).value.reset();
  EXPECT_EQ(slowed_down_since(gauges_, before), "");
}

TEST_F(Slowdowns, WhatIsNoCountIsLeftOut) {
  at(0).counting = false;
  const auto before = counts_of(gauges_);
  at(0).value = 5;
  EXPECT_EQ(slowed_down_since(gauges_, before), "");
}

}  // namespace
}  // namespace polythrottle
