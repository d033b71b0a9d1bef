#!/usr/bin/env bash
# Gradescope runs this once, as root, when it builds the autograder's image (Ubuntu).
set -euo pipefail
cd /autograder/source
# If the plan names cases of your own, this is the package of your crate: in `run_autograder`, too.
course=course
# Where every user can read the toolchain: a submission is built by a user of its own.
export RUSTUP_HOME=/opt/rustup CARGO_HOME=/opt/cargo PATH=/opt/cargo/bin:$PATH
apt-get update -qq
apt-get install -y -qq --no-install-recommends build-essential ca-certificates curl git >/dev/null
curl -sSf https://sh.rustup.rs | sh -s -- -y --quiet --profile minimal
useradd --system --create-home grader
# A submission must not read the solution beside the plan, or copy it into its program.
chmod -R go= "$(dirname "$(cat plan)")"
# What is built here need not be built for each submission, and a plan that proves itself here grades here.
cargo run --quiet -p "$course" --bin "$course" -- check "$(cat plan)"
