//! The contract: what crosses a boundary is written down, linted, explained, and never breaks what was released.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    process::{Command, Output},
};

use prost::Message as _;
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};
use qianshou_kernel::error::{Reason, Violation, code};
use qianshou_tests::{
    buf,
    contract::{HOUSES, House},
    refusal::is_han,
    source::root,
    writes,
};
use tonic::Code;

/// The image of the last release, made by `buf build --exclude-source-info -o ../tests/contract/v1.binpb`.
const RELEASED: &str = "tests/contract/v1.binpb";
/// Which calls a client may repeat by itself.
const RETRIED: &str = "proto/service_config.json";

#[test]
fn it_is_linted_and_formatted() {
    for arguments in [&["lint"][..], &["format", "--diff", "--exit-code"]] {
        let told = run_buf(arguments);
        assert!(
            told.status.success(),
            "buf {arguments:?}: {}{}",
            String::from_utf8_lossy(&told.stdout),
            String::from_utf8_lossy(&told.stderr)
        );
    }
}

#[test]
fn it_breaks_nothing_that_was_released() {
    let image = root().join(RELEASED);
    let told = run_buf(&["breaking", "--against", image.to_str().unwrap()]);
    assert!(
        told.status.success(),
        "{}{}",
        String::from_utf8_lossy(&told.stdout),
        String::from_utf8_lossy(&told.stderr)
    );
    let released = FileDescriptorSet::decode(&std::fs::read(&image).unwrap()[..]).unwrap();
    let names: BTreeSet<&str> =
        released.file.iter().map(FileDescriptorProto::name).filter(|name| name.starts_with("qianshou/")).collect();
    let standing = ours();
    assert!(names.is_subset(&standing.iter().map(FileDescriptorProto::name).collect()));
    assert!(names.len() >= 11, "the released image is empty");
}

/// Six calls of every noun, alike but for a few words; and which of them a client may repeat.
#[test]
fn the_standard_calls_are_as_written() {
    for house in HOUSES {
        for (file, write) in [(house.file, House::written as fn(&House, &str) -> String), (RETRIED, House::retried)] {
            let path = root().join(file);
            let stands = std::fs::read_to_string(&path).unwrap();
            let written = write(&house, &stands);
            if writes() {
                std::fs::write(&path, written).unwrap();
            } else {
                assert!(stands == written, "{file} is not as written: run QIANSHOU_WRITE=1 tests/run contract");
            }
        }
    }
}

/// What is repeated by itself does no harm: reads, and writes that a request id makes harmless; and nothing but UNAVAILABLE is.
#[test]
fn only_what_may_be_repeated_is_retried() {
    let text = std::fs::read_to_string(root().join(RETRIED)).unwrap();
    let config: serde_json::Value = serde_json::from_str(&text).unwrap();
    let [entry] = &config["methodConfig"].as_array().unwrap()[..] else { panic!("one entry is expected") };
    assert_eq!(entry["retryPolicy"]["retryableStatusCodes"], serde_json::json!(["UNAVAILABLE"]));
    let pair = |name: &serde_json::Value| {
        format!("{}/{}", name["service"].as_str().unwrap(), name["method"].as_str().unwrap())
    };
    let named: BTreeSet<String> = entry["name"].as_array().unwrap().iter().map(pair).collect();
    let mut harmless = BTreeSet::new();
    for file in ours() {
        for service in &file.service {
            for method in service.method.iter().filter(|method| !method.client_streaming()) {
                let asked = method.input_type().rsplit('.').next().unwrap();
                let asked = file.message_type.iter().find(|message| message.name() == asked).unwrap();
                let reads = ["Get", "List", "Read"].iter().any(|verb| method.name().starts_with(verb));
                if reads || asked.field.iter().any(|field| field.name() == "request_id") {
                    harmless.insert(format!("{}.{}/{}", file.package(), service.name(), method.name()));
                }
            }
        }
    }
    assert_eq!(named, harmless);
}

fn run_buf(arguments: &[&str]) -> Output {
    let buf: PathBuf = buf().expect("QIANSHOU_BUF names no buf: run tests/run, which fetches one");
    Command::new(buf).args(arguments).current_dir(root().join("proto")).output().unwrap()
}

/// Rule 1 and 2 of proto/README.md: absent is never zero, and no order depends on a hash table.
#[test]
fn every_field_knows_whether_it_is_there() {
    for file in ours() {
        for message in &file.message_type {
            fields_know(message);
        }
    }
}

fn fields_know(message: &DescriptorProto) {
    let present = |field: &FieldDescriptorProto| {
        field.label() == Label::Repeated
            || field.r#type() == Type::Message
            || field.oneof_index.is_some()
            || field.proto3_optional()
    };
    for field in &message.field {
        assert!(present(field), "{}.{} is neither optional nor repeated", message.name(), field.name());
    }
    for nested in &message.nested_type {
        assert!(!nested.options.as_ref().is_some_and(|options| options.map_entry()), "{} has a map", message.name());
        fields_know(nested);
    }
}

/// An answer stays under what a default client takes: who answers a list answers it in pages or in a stream, but for these, which
/// have a bound of their own.
#[test]
fn every_list_is_answered_in_pages() {
    // By what is asked, or because a node has only a few dozen of them.
    const ASKED: [&str; 5] = ["BatchPut", "ErasePerson", "ListMatches", "TraceDivision", "ReadTable"];
    const FEW: [&str; 5] = ["ShowHead", "ListPeers", "ListAgreements", "ListStreams", "ListIndicators"];
    let bounded: BTreeSet<&str> = ASKED.into_iter().chain(FEW).collect();
    let files = ours();
    let named = |name: &str| {
        let short = name.rsplit('.').next().unwrap();
        let here = |file: &&FileDescriptorProto| name == format!(".{}.{short}", file.package());
        let file = files.iter().filter(here).flat_map(|file| &file.message_type);
        file.into_iter().find(|message| message.name() == short).unwrap()
    };
    let mut unpaged = BTreeSet::new();
    for method in files.iter().flat_map(|file| &file.service).flat_map(|service| &service.method) {
        let lists = named(method.output_type()).field.iter().any(|field| field.label() == Label::Repeated);
        let pages = named(method.input_type()).field.iter().any(|field| field.name() == "page_token");
        if lists && !pages && !method.server_streaming() {
            let known = bounded.iter().find(|name| method.name().starts_with(**name));
            unpaged.insert(*known.unwrap_or_else(|| panic!("{} answers a list without pages", method.name())));
        }
    }
    assert_eq!(unpaged, bounded, "the exceptions");
}

/// Every call says which reasons it may refuse with, and every reason it says exists.
#[test]
fn every_call_lists_its_reasons() {
    for file in ours() {
        let locations = &file.source_code_info.as_ref().expect("comments are kept").location;
        for (s, service) in file.service.iter().enumerate() {
            for (m, method) in service.method.iter().enumerate() {
                let path = [6, s, 2, m].map(|n| i32::try_from(n).unwrap());
                let comment =
                    locations.iter().find(|l| l.path == path).map(|l| l.leading_comments()).unwrap_or_default();
                let (_, reasons) =
                    comment.split_once("Reasons").unwrap_or_else(|| panic!("{} lists no reasons", method.name()));
                let words = reasons.split(|c: char| !c.is_ascii_uppercase() && c != '_').filter(|word| word.len() > 3);
                for reason in words.filter(|word| !["UUID", "READER", "ADMINISTRATOR"].contains(word)) {
                    assert!(
                        Reason::from_str_name(&format!("ERROR_REASON_{reason}")).is_some(),
                        "{}: there is no {reason}",
                        method.name()
                    );
                }
            }
        }
    }
}

/// The list of reasons is closed, and each has a code, a sentence for a clerk in Beijing and one for a programmer elsewhere.
#[test]
fn every_reason_is_told_in_both_languages() {
    let reasons: Vec<Reason> = (0..1_000).filter_map(|number| Reason::try_from(number).ok()).collect();
    assert!(reasons.len() >= 34);
    for reason in reasons {
        let told = Violation::new("the_field", reason, "the-detail");
        assert!(told.zh.chars().any(is_han), "{}: {}", reason.as_str_name(), told.zh);
        assert!(
            !told.en.chars().any(is_han) && told.en.split(' ').count() > 3,
            "{}: {}",
            reason.as_str_name(),
            told.en
        );
        let internal = matches!(reason, Reason::Unspecified | Reason::Internal);
        assert_eq!(code(reason) == Code::Internal, internal, "{}", reason.as_str_name());
        assert_ne!(code(reason), Code::Ok);
    }
}

/// Our own files of the contract, as this binary carries them.
fn ours() -> Vec<FileDescriptorProto> {
    let all = FileDescriptorSet::decode(qianshou_proto::DESCRIPTOR_SET).unwrap();
    all.file.into_iter().filter(|file| file.package().starts_with("qianshou.")).collect()
}
