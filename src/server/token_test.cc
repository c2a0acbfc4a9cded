#include "server/token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace polythrottle::server {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

struct TokenFile : testing::Test {
  ~TokenFile() override { fs::remove(path); }
  Result<Token> read(const std::string& text, fs::perms perms = fs::perms::owner_read) {
    fs::remove(path);
    std::ofstream(path) << text;
    fs::permissions(path, perms);
    return Token::read(path);
  }
  const std::string path = testing::TempDir() + "token_test_" + std::to_string(getpid());
};

TEST_F(TokenFile, AdmitsItsWordAndNoOther) {
  const auto token = read("0123456789abcdef\n");
  ASSERT_TRUE(token) << token.error().text();
  EXPECT_TRUE(token->admits("Bearer 0123456789abcdef"));
  EXPECT_TRUE(token->admits("bearer 0123456789abcdef"));
  for (const char* wrong : {"", "Bearer", "Bearer ", "0123456789abcdef", "Basic 0123456789abcdef", "Bearer 0123456789abcdeg",
                            "Bearer 0123456789abcde", "Bearer 0123456789abcdef0", "Bearer 0123456789abcdef\n"}) {
    EXPECT_FALSE(token->admits(wrong)) << wrong;
  }
}

TEST_F(TokenFile, IsRefusedWhereOthersMayReadIt) {
  for (const auto perms : {fs::perms::group_read, fs::perms::others_read, fs::perms::group_write}) {
    const auto token = read("0123456789abcdef", fs::perms::owner_read | perms);
    ASSERT_FALSE(token);
    EXPECT_EQ(token.error().code, Errc::kPermission);
    EXPECT_THAT(token.error().text(), HasSubstr("chmod 600 " + path));
  }
}

TEST_F(TokenFile, IsRefusedWhereItHoldsNoToken) {
  for (const std::string& text : {std::string(), std::string("short"), std::string("two words and more"),
                                  std::string("0123456789abcdef\n0123"), std::string(5000, 'x')}) {
    const auto token = read(text);
    ASSERT_FALSE(token);
    EXPECT_EQ(token.error().code, Errc::kInvalid);
  }
  EXPECT_EQ(Token::read(path + ".none").error().code, Errc::kNotFound);
}

TEST(Exposure, NeedsTlsAndATokenBeyondLoopback) {
  const auto check = [](const char* host, bool tls, bool token, bool insecure) {
    HttpListen listen{.host = host, .port = 8000};
    if (tls) listen.tls = HttpTls{};
    return check_exposure(listen, token, insecure);
  };
  for (const char* inside : {"127.0.0.1", "127.8.9.1", "::1", "localhost"}) EXPECT_TRUE(check(inside, false, false, false)) << inside;
  for (const char* outside : {"0.0.0.0", "*", "::", "192.168.0.2", "box.example", ""}) {
    EXPECT_TRUE(check(outside, true, true, false));
    EXPECT_TRUE(check(outside, false, false, true));
    EXPECT_THAT(check(outside, false, false, false).error().what, HasSubstr("no TLS and no token"));
    EXPECT_THAT(check(outside, true, false, false).error().what, HasSubstr("there is no token"));
    EXPECT_THAT(check(outside, false, true, false).error().what, HasSubstr("there is no TLS"));
  }
  EXPECT_TRUE(check_exposure({.unix_socket = "/run/x"}, false, false));
}

}  // namespace
}  // namespace polythrottle::server
