#!/usr/bin/env bash
# Rewrites tests/golden from what the program says now; review the diff.
set -euo pipefail
cd "$(dirname "$0")/.."
cmake --build --preset dev --target e2e
mkdir -p tests/golden
UPDATE_GOLDEN=1 build/dev/bin/e2e --gtest_filter='*Golden*' --gtest_brief=1
git --no-pager diff --stat tests/golden
