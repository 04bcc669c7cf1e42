//! Compiles the contract without protoc: protox reads the `.proto` files, prost and tonic write the Rust, and the
//! descriptor set is kept byte for byte as protox encodes it (decoding it would drop custom options).

use prost::Message as _;
use std::{env, error::Error, fs, path::Path};

/// Every package of the contract; each has `resources.proto`, and `service.proto` when it answers calls.
const FILES: [&str; 15] = [
    "qianshou/common/v1/resources.proto",
    "qianshou/registry/v1/resources.proto",
    "qianshou/registry/v1/service.proto",
    "qianshou/pairing/v1/resources.proto",
    "qianshou/pairing/v1/service.proto",
    "qianshou/ledger/v1/resources.proto",
    "qianshou/ledger/v1/service.proto",
    "qianshou/identity/v1/resources.proto",
    "qianshou/identity/v1/service.proto",
    "qianshou/reporting/v1/resources.proto",
    "qianshou/reporting/v1/service.proto",
    "qianshou/exchange/v1/resources.proto",
    "qianshou/exchange/v1/service.proto",
    "qianshou/audit/v1/resources.proto",
    "qianshou/audit/v1/service.proto",
];

#[expect(clippy::disallowed_methods, reason = "cargo tells a build script its folder by the environment")]
fn main() -> Result<(), Box<dyn Error>> {
    // A folder is watched with everything below it.
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=qianshou");

    let mut compiler = protox::Compiler::new(["."])?;
    compiler.include_imports(true).include_source_info(true).open_files(FILES)?;
    let descriptor_set = compiler.encode_file_descriptor_set();
    fs::write(Path::new(&env::var("OUT_DIR")?).join("descriptor.bin"), &descriptor_set)?;

    tonic_prost_build::configure()
        .build_client(true)
        .build_server(true)
        .build_transport(false)
        .bytes(".")
        .compile_fds(prost_types::FileDescriptorSet::decode(&descriptor_set[..])?)?;
    Ok(())
}
