#!/bin/sh
# RUSTC_WORKSPACE_WRAPPER of `cargo xtask fuzz`: compiles the project's own code with the coverage that libFuzzer is guided
# by, and with its checks, in options that the stable compiler has. Everything else is as in any build, so it is there.
set -eu
case " $* " in
*" --crate-name build_script_build "*) exec "$@" ;;
esac
exec "$@" --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Copt-level=1 -Cdebug-assertions=on -Coverflow-checks=on -Cdebuginfo=0
