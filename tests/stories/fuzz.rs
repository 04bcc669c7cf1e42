//! Fuzz targets, shortly: each holds for a few hundred inputs, notices the faults that are planted in it, and tells an input that can be
//! given to it again. For as long as asked: `tests/README.md`.

use std::process::{Command, Output};

use qianshou_tests::fuzz::{Mutation, TARGETS, named, run};
use serde_json::Value;

/// Executions of each target in every run of the tests.
const EXECUTIONS: u64 = 400;

fn fuzz(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fuzz")).args(arguments).output().unwrap()
}

/// What was broken, as the last line says it.
fn fault(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

#[test]
fn every_target_holds_for_a_while() {
    let executions = EXECUTIONS.to_string();
    let output = fuzz(&["--executions", &executions, "--seed", "20240601", "--json"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let told: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told.len(), TARGETS.len(), "{text}");
    for (told, target) in told.iter().zip(TARGETS) {
        assert_eq!((told["target"].as_str(), told["executions"].as_u64()), (Some(target.name), Some(EXECUTIONS)));
    }
}

#[test]
fn every_planted_fault_is_noticed_and_told_again() {
    for (name, target, mutation) in Mutation::ALL {
        let limits = if *mutation == Mutation::Slow { ["--slow-ms", "20"] } else { ["--memory-max-mib", "600"] };
        let planted = ["--mutation", *name, limits[0], limits[1], *target];
        let told = fault(&fuzz(&[&planted[..], &["--executions", "20000"]].concat()));
        let law = told["law"].as_str().unwrap();
        let expected = match mutation {
            Mutation::Panic => "no-panic",
            Mutation::Slow => "bounded-time",
            // What is kept is in no single input.
            Mutation::Hoard => {
                assert_eq!(law, "bounded-memory", "{told}");
                continue;
            }
            _ => law,
        };
        assert_eq!(law, expected, "{name}: {told}");
        let (execution, input) = (told["execution"].to_string(), told["input"].as_str().unwrap());
        let again = fault(&fuzz(&[&planted[..], &["--from", &execution, "--executions", "1"]].concat()));
        assert_eq!((&again["law"], &again["execution"]), (&told["law"], &told["execution"]), "{name}");
        let given = fault(&fuzz(&[&planted[..], &["--input", input]].concat()));
        assert_eq!(given["law"], told["law"], "{name}: the smallest input breaks the same law");
        let usual: Vec<&str> = vec![target, "--input", input];
        assert!(fuzz(&usual).status.success(), "{name}: nothing is wrong with the input itself: {input}");
    }
}

#[test]
fn every_target_has_a_planted_fault() {
    for target in TARGETS {
        assert!(Mutation::ALL.iter().any(|(_, noticed_by, _)| *noticed_by == target.name), "{}", target.name);
    }
    assert!(Mutation::ALL.iter().all(|(_, noticed_by, _)| named(noticed_by).is_some()));
    assert!(run::peak_mib().is_none_or(|peak| peak > 0));
}
