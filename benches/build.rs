//! Generates what the peers serve: ttrpc's messages and service from `proto/echo.proto`, tonic's
//! service from the description below. Pure Rust, no `protoc`.

use std::path::Path;
use std::{env, fs};

use tonic_build::manual;
use ttrpc_codegen::{Codegen, Customize};

fn main() {
    println!("cargo::rerun-if-changed=proto/echo.proto");
    let out_dir = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    Codegen::new()
        .out_dir(&out_dir)
        .input("proto/echo.proto")
        .include("proto")
        .rust_protobuf()
        .customize(Customize { async_all: true, ..Customize::default() })
        .run()
        .expect("proto/echo.proto is valid");
    // Its own `mod.rs` begins with an inner attribute, which `include!` does not take.
    fs::write(Path::new(&out_dir).join("mod.rs"), "pub mod echo;\npub mod echo_ttrpc;\n")
        .expect("OUT_DIR is writable");

    let method = |name: &str, route: &str, input: &str| {
        manual::Method::builder()
            .name(name)
            .route_name(route)
            .input_type(input)
            .output_type("super::Payload")
            .codec_path("tonic_prost::ProstCodec")
    };
    let echo = manual::Service::builder()
        .name("Echo")
        .package("echo")
        .method(method("call", "Call", "super::Payload").build())
        .method(method("chunks", "Chunks", "super::StreamRequest").server_streaming().build())
        .build();
    manual::Builder::new().compile(&[echo]);
}
