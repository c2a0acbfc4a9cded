#include "host/nvml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host/nvml_stub.h"

namespace polythrottle {
namespace {

using ::testing::HasSubstr;

TEST(Nvml, EveryCodeOfTheDriverIsAnErrorThatSaysWhatToDo) {
  struct Expected {
    nvml::Return code;
    Errc errc;
  };
  // nvmlReturn_t of NVML API version 13, whole.
  constexpr Expected kAll[] = {{1, Errc::kIo},           {2, Errc::kInvalid},      {3, Errc::kUnsupported}, {4, Errc::kPermission},
                               {5, Errc::kIo},           {6, Errc::kNotFound},     {7, Errc::kIo},          {8, Errc::kIo},
                               {9, Errc::kNotFound},     {10, Errc::kTimeout},     {11, Errc::kIo},         {12, Errc::kNotFound},
                               {13, Errc::kUnsupported}, {14, Errc::kCorrupt},     {15, Errc::kIo},         {16, Errc::kIo},
                               {17, Errc::kPermission},  {18, Errc::kUnsupported}, {19, Errc::kBusy},       {20, Errc::kIo},
                               {21, Errc::kNotFound},    {22, Errc::kUnsupported}, {23, Errc::kIo},         {24, Errc::kOutOfRange},
                               {25, Errc::kUnsupported}, {26, Errc::kUnsupported}, {27, Errc::kBusy},       {28, Errc::kNotFound},
                               {29, Errc::kBusy},        {30, Errc::kUnsupported}, {999, Errc::kIo}};
  StubWords words("");
  const auto nvml = Nvml::open(kNvmlStub);
  ASSERT_TRUE(nvml) << nvml.error().text();
  unsigned count = 0;
  std::set<std::string> said;
  for (const auto& [code, errc] : kAll) {
    words.say("nvmlDeviceGetCount_v2=" + std::to_string(code));
    const auto called = (*nvml)->call(nvml::kCount, &count);
    ASSERT_FALSE(called) << code;
    EXPECT_EQ(called.error().code, errc) << code;
    EXPECT_THAT(called.error().what, HasSubstr("nvmlDeviceGetCount_v2: "));
    EXPECT_THAT(called.error().what, HasSubstr("(NVML error " + std::to_string(code) + ")"));
    EXPECT_TRUE(said.insert(called.error().what.substr(0, called.error().what.find(" ("))).second) << "each in words of its own";
    const bool helps = code == 4 || code == 9 || code == 15 || code == 16 || code == 17 || code == 18 || code == 19;
    EXPECT_TRUE(!helps || !called.error().hint.empty()) << code;
  }
  EXPECT_THAT(nvml_error("x", 4).hint, HasSubstr("root"));
  EXPECT_THAT(nvml_error("x", 18).hint, HasSubstr("reboot"));
  EXPECT_THAT(nvml_error("x", 15).hint, HasSubstr("reset"));
}

TEST(Nvml, ACodeOfALaterDriverIsAnErrorToo) {
  const Error error = nvml_error("set it", 4711);
  EXPECT_EQ(error.code, Errc::kIo);
  EXPECT_THAT(error.what, HasSubstr("4711"));
}

TEST(Nvml, SaysWhetherLibraryOrDriverIsMissing) {
  const auto none = Nvml::open("libpolythrottle-no-such-library.so.1");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Errc::kNotFound);
  EXPECT_THAT(none.error().hint, HasSubstr("driver"));

  const StubWords words("nvmlInit_v2=9");
  const auto unloaded = Nvml::open(kNvmlStub);
  ASSERT_FALSE(unloaded);
  EXPECT_EQ(unloaded.error().code, Errc::kNotFound);
  EXPECT_THAT(unloaded.error().what, HasSubstr("not loaded"));
}

TEST(Nvml, ALibraryThatIsSomethingElseIsSaidSo) {
  // This file is there and is no library.
  const auto text = Nvml::open(POLYTHROTTLE_SOURCE_DIR "/CMakeLists.txt");
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().code, Errc::kUnsupported);
  // This one is a library and has none of the functions.
  const auto other = Nvml::open("libm.so.6");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Errc::kUnsupported);
  EXPECT_THAT(other.error().what, HasSubstr("nvmlInit_v2"));
}

TEST(Nvml, AFunctionThatAnOldDriverLacksIsMissedAlone) {
  const auto nvml = Nvml::open(kNvmlStubOld);
  ASSERT_TRUE(nvml) << nvml.error().text();
  EXPECT_FALSE((*nvml)->has(nvml::kLockGraphics.symbol));
  nvml::Device device = nullptr;
  ASSERT_TRUE((*nvml)->call(nvml::kHandleByIndex, 0U, &device));
  const auto locked = (*nvml)->call(nvml::kLockGraphics, device, 210U, 1800U);
  ASSERT_FALSE(locked);
  EXPECT_EQ(locked.error().code, Errc::kUnsupported);
  EXPECT_THAT(locked.error().text(), HasSubstr("newer"));
  unsigned limit = 0;
  EXPECT_TRUE((*nvml)->call(nvml::kPowerLimit, device, &limit));
}

TEST(Nvml, TheStubHasEveryFunctionThatWeDeclare) {
  const auto nvml = Nvml::open(kNvmlStub);
  ASSERT_TRUE(nvml);
  for (const char* symbol : nvml::kSymbols) EXPECT_TRUE((*nvml)->has(symbol)) << symbol;
}

}  // namespace
}  // namespace polythrottle
