//! `qianshou doctor`, as people and programs read it.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use qianshou_kernel::{clock::Clock, error::Result};
use serde_json::json;

use super::Connection;
use crate::doctor::{Check, Grade, examine};

#[derive(Args)]
pub(super) struct Doctor {
    /// The node's configuration.
    #[arg(long)]
    config: PathBuf,
    #[command(flatten)]
    to: Connection,
}

impl Doctor {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let line = if self.to.is_given() { Some(self.to.line()?) } else { None };
        let checks = examine(&self.config, line, &Clock::system()).await;
        if self.to.json {
            println!("{}", json!(checks));
        } else {
            checks.iter().for_each(print);
        }
        let failed = checks.iter().any(|check| check.grade == Grade::Fail);
        Ok(if failed { ExitCode::from(1) } else { ExitCode::SUCCESS })
    }
}

fn print(check: &Check) {
    let grade = match check.grade {
        Grade::Ok => "ok  ",
        Grade::Warn => "warn",
        Grade::Fail => "FAIL",
    };
    println!("{:>2} {grade}  {}: {}", check.number, check.name, check.note);
    if let Some(mend) = &check.mend {
        println!("         → {mend}");
    }
}
