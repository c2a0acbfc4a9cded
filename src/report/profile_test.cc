#include "report/profile.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "trial/json.h"

namespace polythrottle {
namespace {

StudyFacts facts_of(const std::string& device) {
  return {{fact::kProvenance, "measured"},
          {fact::kObjective, std::string(kEnergy)},
          {fact::kReference, R"({"batch":1,"cpu_hz":2000000000})"},
          {fact::kSlo, "1.5x"},
          {fact::kConstraints, "[]"},
          {fact::kDevice, device},
          {fact::kModel, "net.onnx"},
          {fact::kMachine, R"({"board":"quill","hostname":"a","kernel":"4.9"})"},
          {fact::kFound, R"({"cpu_hz":1800000000})"}};
}

Summary study(const std::string& device = "cpu", double latency_of_best = 0.014) {
  const auto trial = [&](TrialId id, Advice::Kind kind, double batch, double hertz, double energy, double latency) {
    Trial t;
    t.id = id;
    t.state = t.outcome.state = TrialState::kCompleted;
    t.advice.kind = kind;
    t.asked = Config{{"batch", batch}, {"cpu_hz", hertz}};
    t.outcome.metrics[std::string(kEnergy)] = {energy, 0.001, 100, {}};
    t.outcome.metrics[std::string(kLatencyMean)] = {latency, 1e-5, 100, {}};
    return t;
  };
  return summarize(facts_of(device),
                   {trial(1, Advice::Kind::kReference, 1, 2e9, 1.0, 0.010), trial(2, Advice::Kind::kTry, 4, 1e9, 0.75, latency_of_best)})
      .value();
}

TEST(Profile, HoldsTheMachinesSettingsApartFromTheProgramsOwn) {
  const auto profile = profile_of(study());
  ASSERT_TRUE(profile) << profile.error().text();
  EXPECT_EQ(profile->settings, (Config{{"cpu_hz", 1e9}}));
  EXPECT_EQ(profile->program, (Config{{"batch", 4.0}}));
  EXPECT_EQ(profile->machine.at("board"), "quill");
  EXPECT_EQ(profile->provenance, "measured");
  EXPECT_NEAR(profile->saving, 0.25, 1e-12);
}

TEST(Profile, ReadsBackAsItWasWritten) {
  Profile profile = profile_of(study()).value();
  profile.settings.set("cpu_epp", std::string("balance_power"));
  profile.model = "a \"b\" \n c";
  const auto read = parse_profile(render_profile(profile));
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_EQ(read->machine, profile.machine);
  EXPECT_EQ(read->settings, profile.settings);
  EXPECT_EQ(read->program, profile.program);
  EXPECT_EQ(read->device, profile.device);
  EXPECT_EQ(read->model, profile.model);
  EXPECT_EQ(read->limits, profile.limits);
  EXPECT_EQ(read->provenance, profile.provenance);
  EXPECT_EQ(read->saving, profile.saving);
}

TEST(Profile, IsNotMadeFromWhatIsNoMachineOrMeetsNoLimit) {
  for (const char* device : {"sim:jetson-orin", "recorded:table.csv#net"}) {
    const auto profile = profile_of(study(device));
    ASSERT_FALSE(profile);
    EXPECT_EQ(profile.error().code, Errc::kUnsupported) << device;
  }
  Summary none = study();
  none.best.reset();
  ASSERT_FALSE(profile_of(none));
  EXPECT_EQ(profile_of(none).error().code, Errc::kNotFound);
}

TEST(Profile, RefusesWhatIsNoneWithTheReason) {
  const std::string good = render_profile(profile_of(study()).value());
  const auto with = [&](const char* key, Json value) {
    Json document = Json::parse(good);
    document[key] = std::move(value);
    return document.dump();
  };
  const auto without = [&](const char* key) {
    Json document = Json::parse(good);
    document.erase(key);
    return document.dump();
  };
  ASSERT_TRUE(parse_profile(good));
  const std::pair<std::string, std::string> bad[] = {
      {"", ""},
      {"{", ""},
      {"[]", "no profile"},
      {"{}", "no profile"},
      {with("kind", 1), "no profile"},
      {without("schema"), "no schema"},
      {with("schema", "1"), "no schema"},
      {with("schema", 2), "schema 2"},
      {without("settings"), "'settings'"},
      {without("machine"), "'machine'"},
      {with("settings", Json::array()), "settings is no object"},
      {with("settings", {{"cpu_hz", nullptr}}), "'cpu_hz' is neither"},
      {with("settings", {{"cpu_hz", {1, 2}}}), "'cpu_hz' is neither"},
      {with("program", 3), "program is no object"},
      {with("machine", {{"board", 3}}), "'board' is no text"},
  };
  for (const auto& [text, words] : bad) {
    const auto profile = parse_profile(text);
    ASSERT_FALSE(profile) << text;
    EXPECT_NE(profile.error().what.find(words), std::string::npos) << profile.error().what;
  }
}

TEST(Profile, FitsMachinesOfItsKindAlone) {
  const Profile profile = profile_of(study()).value();
  EXPECT_TRUE(check_machine(profile, {{"board", "quill"}, {"hostname", "b"}, {"kernel", "4.9.337"}}));
  EXPECT_TRUE(check_machine(profile, {{"hostname", "b"}}));  // nothing here names the board: the levels still have to fit
  const auto other = check_machine(profile, {{"board", "Jetson AGX Orin"}});
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Errc::kInvalid);
  EXPECT_NE(other.error().what.find("'quill'"), std::string::npos) << other.error().what;
}

}  // namespace
}  // namespace polythrottle
