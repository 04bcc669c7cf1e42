//! `qianshou`: see [`qianshou::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    qianshou::cli::run()
}
