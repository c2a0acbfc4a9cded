#include "trial/json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace polythrottle {
namespace {

TEST(AdviceJson, EveryKindReadsBack) {
  for (const auto kind : {Advice::Kind::kReference, Advice::Kind::kFound, Advice::Kind::kTry, Advice::Kind::kVerify, Advice::Kind::kCheck, Advice::Kind::kConfirm,
                          Advice::Kind::kStop}) {
    const Advice advice{kind, Config{{"batch", 4.0}}, "because", 0.25};
    const auto again = advice_from_json(to_json(advice)).value();
    EXPECT_EQ(again.kind, kind);
    EXPECT_EQ(again.config, advice.config);
    EXPECT_EQ(again.expected_gain, 0.25);
  }
  EXPECT_EQ(advice_from_json(Json{{"kind", "guess"}, {"config", Json::object()}, {"reason", ""}}).error().code, Errc::kCorrupt);
}

TEST(ParametersJson, ReadBackWithRoleUnitLevelsAndHelp) {
  const std::vector<Parameter> parameters{
      {"gpu_max_hz", "Hz", Role::kComputeClock, {114750000.0, 1300500000.0}, "highest clock"},
      {"cpu_hz", "Hz", Role::kHostClock, {0.1, 1e300, 9007199254740993.0}, ""},
      {"cpu_epp", "", Role::kOther, {std::string("power"), std::string("balance_power"), std::string("performance")}, "labels in order"},
      {"precision", "", Role::kCategory, {std::string("fp16"), std::string("8")}, "labels, a number among them"}};
  const auto text = to_json(parameters).dump();
  const auto again = parameters_from_json(parse_json(text).value()).value();
  ASSERT_EQ(again.size(), parameters.size());
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    EXPECT_EQ(again[i].name, parameters[i].name);
    EXPECT_EQ(again[i].unit, parameters[i].unit);
    EXPECT_EQ(again[i].role, parameters[i].role);
    EXPECT_EQ(again[i].levels, parameters[i].levels);
    EXPECT_EQ(again[i].help, parameters[i].help);
  }
}

TEST(ParametersJson, DamageIsCorruptAndNeverThrows) {
  for (const char* bad :
       {"{}", "null", "3", "[3]", "[{}]", R"([{"name":"a","unit":"","role":"magic","levels":[1],"help":""}])",
        R"([{"name":"a","unit":"","role":"other","levels":[null],"help":""}])",
        R"([{"name":"a","unit":"","role":"other","levels":[[1]],"help":""}])",
        R"([{"name":1,"unit":"","role":"other","levels":[1],"help":""}])", R"([{"name":"a","role":"other","levels":[1]}])"}) {
    EXPECT_EQ(parameters_from_json(parse_json(bad).value()).error().code, Errc::kCorrupt) << bad;
  }
}

}  // namespace
}  // namespace polythrottle
