// Whatever is wrong: one line on stderr, exit code 2 or 1, nothing half-written.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "e2e/program.h"
#include "journal/journal.h"

namespace polythrottle::e2e {
namespace {

void expect_complaint(const Ran& ran, int exit_code, const std::string& about) {
  EXPECT_EQ(ran.exit_code, exit_code) << ran.err;
  EXPECT_NE(ran.err.find(about), std::string::npos) << ran.err;
  EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
  EXPECT_EQ(ran.out, "");
}

std::vector<std::string> tune(std::vector<std::string> more) {
  std::vector<std::string> all{"tune", "--quiet"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

std::string device() { return "recorded:" + small_table() + "#net"; }

TEST(BadInput, UsageIsExitCodeTwo) {
  expect_complaint(run({}), 2, "subcommand");
  expect_complaint(run({"tune", "--budget", "many"}), 2, "--budget");
  expect_complaint(run({"tune", "--no-such-flag"}), 2, "no-such-flag");
  expect_complaint(run(tune({"--slo", "2x"})), 2, "--device is missing");
  expect_complaint(run(tune({"--device", device()})), 2, "--slo is missing");
  expect_complaint(run(tune({"--device", "toaster", "--slo", "2x"})), 2, "unknown device 'toaster'");
  expect_complaint(run(tune({"--device", device(), "--slo", "50ms"})), 2, "does not say which latency");
  expect_complaint(run(tune({"--device", device(), "--slo", "p99=fast"})), 2, "no number");
  expect_complaint(run(tune({"--device", device(), "--slo", "2x", "--budget", "0"})), 2, "--budget 0");
  expect_complaint(run(tune({"--device", device(), "--slo", "2x", "--optimizer", "magic"})), 2, "one of eic, grid, ");
  expect_complaint(run(tune({"--device", device(), "--slo", "2x", "--constraint", "power<15"})), 2, "METRIC<=LIMIT");
  expect_complaint(run(tune({"--device", device(), "--slo", "2x", "--constraint", "temperature<=70C"})), 2, "gives no temperature");
  expect_complaint(run(tune({"--device", device(), "--slo", "p99=50ms"})), 2, "gives no latency_p99");
  expect_complaint(run(tune({"--device", device(), "--slo", "2x", "--knob", "batch=3"})), 2, "'3' is no level of batch");
  expect_complaint(run(tune({"--device", device(), "--slo", "2x", "--knob", "colour=red"})), 2, "colour");
  expect_complaint(run(tune({"--device", device(), "--slo", "2x", "--reference", "batch=3"})), 2, "no level of batch");
  expect_complaint(run(tune({"--device", device(), "--slo", "2x", "--rate", "5"})), 2, "closed loop");
  expect_complaint(run(tune({"--device", "cpu", "--slo", "2x"})), 2, "--model is missing");
  expect_complaint(run(tune({"--resume"})), 2, "--study");
}

TEST(BadInput, ASearchThatMakesNoSenseIsRefusedWithWhatToSay) {
  const auto with = [](std::vector<std::string> more) {
    more.insert(more.begin(), {"--device", device(), "--slo", "2x"});
    return run(tune(more));
  };
  expect_complaint(with({"--explore", "wild"}), 2, "one of safe, strict, bold");
  expect_complaint(with({"--min-gain", "0.4"}), 2, "--min-gain '0.4' would be 40 %; write 0.4% if that is meant");
  expect_complaint(with({"--min-gain", "nan"}), 2, "write 0.4% or 0.004");
  expect_complaint(with({"--min-gain", "-1%"}), 2, "write 0.4% or 0.004");
  expect_complaint(with({"--horizon", "1y@8/s"}), 2, "--horizon '1y@8/s' is no horizon; write a number of inferences (1e6)");
  expect_complaint(with({"--horizon", "1e999"}), 2, "is no horizon");
  expect_complaint(with({"--horizon", "0"}), 2, "at least 1");
  expect_complaint(with({"--horizon", "1e6", "--objective", "throughput"}), 2, "needs --objective energy");
  expect_complaint(with({"--horizon", "1e6"}), 2, "a recorded table does not say what a trial costs");
  expect_complaint(with({"--max-violations", "0"}), 2, "--explore strict");
  expect_complaint(with({"--max-violations", "-1"}), 2, "--max-violations");
  expect_complaint(with({"--phases", "three"}), 2, "one of joint, paper");
  expect_complaint(with({"--phases", "paper"}), 2, "--phases paper needs a CPU clock knob; this space has none");
  for (const auto& [flag, value] :
       {std::pair{"--explore", "bold"}, {"--min-gain", "1%"}, {"--horizon", "1e6"}, {"--warm-start", "old.sqlite"}}) {
    expect_complaint(with({"--optimizer", "eic", flag, value}), 2,
                     std::string("the optimizer eic cannot be steered with ") + flag + "; use --optimizer polythrottle");
  }
}

TEST(BadInput, EarlierStudiesThatCannotBeUsed) {
  const auto with = [](std::vector<std::string> more) {
    more.insert(more.begin(), {"--device", device(), "--slo", "2x"});
    return run(tune(more));
  };
  const std::string text = scratch("earlier-text.sqlite"), absent = scratch("earlier-absent.sqlite"), study = scratch("earlier.sqlite");
  write(text, std::string(4096, 'x'));
  expect_complaint(with({"--warm-start", absent}), 1, "--warm-start: open study " + absent + ": no such file");
  expect_complaint(with({"--warm-start", text}), 1, "no study file");
  ASSERT_EQ(with({"--budget", "2", "--study", study}).exit_code, 0);
  expect_complaint(with({"--warm-start", study, "--study", study}), 2, "is the study itself");
  expect_complaint(with({"--warm-start", study, "--warm-start", study}), 2, "is given twice");
  expect_complaint(with({"--warm-start", study, "--json", study}), 2, "would overwrite the earlier study");
  const std::string unmeasured = scratch("earlier-unmeasured.sqlite");
  {
    const auto journal = open_sqlite_journal(unmeasured, OpenMode::kCreate).value();
    const auto facts = open_sqlite_journal(study, OpenMode::kReadOnly).value()->facts().value();
    ASSERT_TRUE(journal->describe(facts));
  }
  expect_complaint(with({"--warm-start", unmeasured}), 1, "its reference setting was never measured");
}

TEST(BadInput, TablesAreRefusedByLine) {
  const auto complaint = [](const std::string& text, const std::string& workload = "n") {
    const std::string path = scratch("bad.csv");
    write(path, text);
    const auto ran = run(tune({"--device", "recorded:" + path + (workload.empty() ? "" : "#" + workload), "--slo", "2x"}));
    EXPECT_NE(ran.exit_code, 0);
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
    return ran.err;
  };
  const std::string head = "workload,gpu_mhz,latency_ms,energy_j_per_inference\n";
  EXPECT_NE(complaint("").find("no header"), std::string::npos);
  EXPECT_NE(complaint(head).find("no rows"), std::string::npos);
  EXPECT_NE(complaint(head + "n,1,10,1\n", "m").find("it has n"), std::string::npos);
  EXPECT_NE(complaint(head + "n,1,10\n").find("line 2: 3 cells"), std::string::npos);
  EXPECT_NE(complaint(head + "n,1,1O,1\n").find("'1O' is no number"), std::string::npos);
  EXPECT_NE(complaint(head + "n,1,10,1\nn,1,10,1\n").find("duplicates"), std::string::npos);
  EXPECT_NE(complaint(head + "n,1,10,1\nn,1,12,1\n").find("contradicts"), std::string::npos);
  EXPECT_NE(complaint("workload,gpu_thz,latency_ms\nn,1,10\n").find("unknown column 'gpu_thz'"), std::string::npos);
  EXPECT_NE(complaint(std::string("workload,gpu_mhz\0,latency_ms\n", 31)).find("NUL"), std::string::npos);
  expect_complaint(run(tune({"--device", "recorded:/nonexistent.csv#n", "--slo", "2x"})), 1, "No such file");
}

TEST(BadInput, AnSloNobodyCanMeetNamesTheFastestSeen) {
  const auto ran = run(tune({"--device", device(), "--slo", "mean=1us", "--optimizer", "grid", "--json", "-"}));
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_NE(ran.err.find("fastest setting seen, gpu_mhz=1500 batch=1, has mean latency 5.333 ms"), std::string::npos) << ran.err;
  EXPECT_NE(ran.out.find("\"best\": null"), std::string::npos);
}

TEST(BadInput, OutputsNeverReplaceWhatIsReadOrEachOther) {
  const std::string table = small_table(), device_here = "recorded:" + table + "#net", before = read(table);
  expect_complaint(run(tune({"--device", device_here, "--slo", "2x", "--json", table})), 2, "would overwrite the table");
  expect_complaint(run(tune({"--device", device_here, "--slo", "2x", "--json", "-", "--csv", "-"})), 2, "are the same");
  const std::string study = scratch("same.sqlite");
  expect_complaint(run(tune({"--device", device_here, "--slo", "2x", "--study", study, "--json", study})), 2, "would overwrite the study");
  EXPECT_EQ(read(table), before);
  const std::string target = scratch("target.json"), link = scratch("link.json");
  write(target, "old");
  std::filesystem::create_symlink(target, link);
  EXPECT_EQ(run(tune({"--device", device_here, "--slo", "2x", "--json", link})).exit_code, 0);
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  EXPECT_NE(read(target), "old");
  EXPECT_EQ(run(tune({"--device", device_here, "--slo", "2x", "--json", "/dev/null"})).exit_code, 0);
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
}

TEST(BadInput, NumbersThatAreNone) {
  for (const auto& [flag, value] :
       {std::pair{"--budget", "-1"}, {"--budget", "99999999999999999999"}, {"--seed", "-1"}, {"--pace", "nan"}, {"--window", "inf"}}) {
    expect_complaint(run(tune({"--device", device(), "--slo", "2x", flag, value})), 2, flag);
  }
}

TEST(BadInput, StudyFilesThatCannotBeUsed) {
  const std::string text = scratch("text.sqlite");
  write(text, std::string(4096, 'x'));
  expect_complaint(run(tune({"--device", device(), "--slo", "2x", "--study", text})), 1, "no study file");
  EXPECT_EQ(read(text), std::string(4096, 'x'));
  expect_complaint(run({"show", text}), 1, "no study file");
  expect_complaint(run({"show", scratch("absent.sqlite")}), 1, "no such file");
  expect_complaint(run(tune({"--device", device(), "--slo", "2x", "--study", "/proc/nonexistent/x.sqlite"})), 1,
                   "/proc/nonexistent/x.sqlite");
  expect_complaint(run(tune({"--device", device(), "--slo", "2x", "--json", "/proc/nonexistent/x.json"})), 1, "/proc/nonexistent/x.json");
  const std::string study = scratch("exists.sqlite");
  ASSERT_EQ(run(tune({"--device", device(), "--slo", "2x", "--budget", "2", "--study", study})).exit_code, 0);
  expect_complaint(run(tune({"--device", device(), "--slo", "2x", "--study", study})), 2, "--resume");
}

TEST(BadInput, AFullDiskStopsTheStudyAndKeepsWhatWasMeasured) {
  if (geteuid() != 0) GTEST_SKIP() << "a small file system can be mounted by root only";
  const std::string folder = scratch("small-disk");
  std::filesystem::create_directories(folder);
  if (std::system(("mount -t tmpfs -o size=96k tmpfs " + folder + " 2>/dev/null").c_str()) != 0)
    GTEST_SKIP() << "tmpfs cannot be mounted here";
  std::string big = "workload,gpu_mhz,latency_ms,energy_j_per_inference\n";
  for (int i = 1; i <= 400; ++i) big += "n," + std::to_string(i) + ",10," + std::to_string(1000 + i) + "\n";
  const std::string table = scratch("big.csv");
  write(table, big);
  const auto ran = run(tune({"--device", "recorded:" + table, "--slo", "2x", "--optimizer", "grid", "--study", folder + "/s.sqlite"}));
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_NE(ran.err.find("disk is full"), std::string::npos) << ran.err;
  const auto kept = run({"show", folder + "/s.sqlite", "--csv", "-"});
  EXPECT_EQ(kept.exit_code, 0) << kept.err;
  EXPECT_NE(kept.out.find("completed"), std::string::npos);
  std::system(("umount " + folder).c_str());
}

TEST(BadInput, ModelsThatCannotRun) {
  if (run({"probe"}).out.find("onnx  ONNX Runtime") == std::string::npos) GTEST_SKIP() << "ONNX Runtime is not installed here";
  const std::string models = POLYTHROTTLE_BINARY_DIR "/tests/models/";
  const auto with_model = [](const std::string& path) { return tune({"--device", "cpu", "--slo", "2x", "--model", path}); };
  expect_complaint(run(with_model("/nonexistent.onnx")), 1, "/nonexistent.onnx");
  const std::string truncated = scratch("truncated.onnx");
  write(truncated, "\x08\x07\x12\x0ePoly");
  EXPECT_EQ(run(with_model(truncated)).exit_code, 1);
  if (!std::filesystem::exists(models + "mlp.onnx")) GTEST_SKIP() << "protoc or onnx.proto is not installed: no test models";
  const std::string mlp = read(models + "mlp.onnx");
  write(truncated, mlp.substr(0, mlp.size() / 2));
  const auto half = run(with_model(truncated));
  EXPECT_EQ(half.exit_code, 1);
  EXPECT_EQ(std::count(half.err.begin(), half.err.end(), '\n'), 1) << half.err;
  const auto unsupported = run(with_model(models + "unsupported.onnx"));
  EXPECT_EQ(unsupported.exit_code, 1);
  EXPECT_EQ(std::count(unsupported.err.begin(), unsupported.err.end(), '\n'), 1) << unsupported.err;
  expect_complaint(run(with_model(models + "tokens.onnx")), 2, "--dim sequence");
}

}  // namespace
}  // namespace polythrottle::e2e
